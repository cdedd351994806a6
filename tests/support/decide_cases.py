"""Short names for the tables of cases: one alert, one job, one run, one rule, at one time."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from app.domain.alert import Alert, AlertKind, Rule
from app.domain.event import Activity, Event, RunOutcome, Severity
from app.domain.job import Job
from app.domain.matcher import Comparison, Matcher
from app.domain.route import Route, Silence
from app.domain.run import Run

NOW = datetime(2026, 3, 4, 8, 0, tzinfo=UTC)  # a Wednesday
FACTS = {
    "customer": "Alder Dental",
    "agent": "nas01",
    "job": "nightly-sql",
    "activity": "backup",
    "kind": "failed",
    "severity": "error",
    "message": "repository is locked",
    "label:site": "north",
}


def ago(**length: float) -> datetime:
    return NOW - timedelta(**length)


def later(**length: float) -> datetime:
    return NOW + timedelta(**length)


def matcher(text: str) -> Matcher:
    """Return the matcher of `job like sql*`."""
    field, comparison, value = text.split(" ", 2)
    return Matcher(field, Comparison(comparison), value)


def matchers(*texts: str) -> tuple[Matcher, ...]:
    return tuple(matcher(text) for text in texts)


def job(**fields: Any) -> Job:
    base = Job("job_1", "cus_1", "agt_1", "nightly-sql", Activity.BACKUP, created_at=ago(days=30))
    return replace(base, **fields)


def run(outcome: RunOutcome, run_id: str = "run_2", severity: Severity = Severity.INFO) -> Run:
    return Run(
        run_id,
        "cus_1",
        "job_1",
        f"run:{run_id}",
        NOW,
        ended_at=NOW,
        outcome=outcome,
        severity=severity,
        event_id="evt_1",
    )


def event(**fields: Any) -> Event:
    return replace(Event("evt_1", "cus_1", "agt_1", "key-1", NOW, NOW, job="nightly-sql"), **fields)


def rule(kind: AlertKind, **fields: Any) -> Rule:
    return replace(Rule(f"rul_{kind}", f"every {kind}", kind), **fields)


def alert(kind: AlertKind = AlertKind.FAILED, **fields: Any) -> Alert:
    base = Alert("alr_1", "cus_1", "agt_1", "job_1", kind, Severity.ERROR, "a failure", ago(days=1), ago(days=1), NOW)
    return replace(base, **fields)


def route(name: str = "everything", **fields: Any) -> Route:
    return replace(Route(f"rou_{name}", name, ("rcp_1",)), **fields)


def silence(*texts: str, **fields: Any) -> Silence:
    base = Silence("sil_1", matchers(*texts), ago(hours=1), later(hours=1), "new disks", "Robin")
    return replace(base, **fields)
