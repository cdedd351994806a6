"""One cause is one problem: which open alerts a person sees as one row, and in which order."""

from datetime import UTC, datetime, timedelta

import pytest

from app.domain.alert import Alert, AlertKind
from app.domain.event import Severity
from app.domain.problem import NamedAlert, group_problems

_NOW = datetime(2026, 11, 27, 7, 10, tzinfo=UTC)


def _alert(
    job: str | None, kind: str, message: str | None = None, *, agent: str = "files01", customer: str = "c1",
    ago: int = 1, owner: str | None = None, silenced: bool = False,
) -> NamedAlert:  # fmt: skip
    subject = f"{customer}/{agent}/{job}"
    since = _NOW - timedelta(hours=ago)
    alert = Alert(
        f"alr_{subject}/{kind}", customer, f"{customer}/{agent}", subject, AlertKind(kind), Severity.ERROR, "", since,
        since, since, job_id=None if job is None else subject, message=message, acknowledged_by=owner,
    )  # fmt: skip
    return NamedAlert(alert, customer, agent, job, silenced_until=_NOW if silenced else None)


_CASES = [
    ("the same error of two jobs", [_alert("a", "failed", "disk full"), _alert("b", "failed", "disk full")], [2]),
    ("with another long number in it", [_alert("a", "failed", "PID 31877"), _alert("b", "failed", "PID 4000")], [2]),
    ("another exit code is another cause", [_alert("a", "failed", "exit 1"), _alert("b", "failed", "exit 2")], [1, 1]),
    ("no text proves no common cause", [_alert("a", "failed"), _alert("b", "failed")], [1, 1]),
    ("another customer", [_alert("a", "failed", "x"), _alert("b", "failed", "x", customer="c2")], [1, 1]),
    ("one of them has an owner", [_alert("a", "failed", "x"), _alert("b", "failed", "x", owner="Kim")], [1, 1]),
    ("one of them is silenced", [_alert("a", "failed", "x"), _alert("b", "failed", "x", silenced=True)], [1, 1]),
    (
        "missed jobs of a silent agent",
        [_alert(None, "agent_silent"), _alert("a", "missed"), _alert("b", "missed")],
        [3],
    ),
    ("missed jobs of an agent that is heard", [_alert("a", "missed"), _alert("b", "missed")], [1, 1]),
    ("a failure of a silent agent stays", [_alert(None, "agent_silent"), _alert("a", "failed", "x")], [1, 1]),
]


@pytest.mark.parametrize(("why", "alerts", "sizes"), _CASES, ids=[case[0] for case in _CASES])
def test_alerts_of_one_cause_are_one_problem(why: str, alerts: list[NamedAlert], sizes: list[int]) -> None:
    assert sorted((len(problem.alerts) for problem in group_problems(alerts)), reverse=True) == sizes, why


def test_the_worst_comes_first_and_the_jobs_of_a_silent_agent_are_counted() -> None:
    problems = group_problems(
        [
            _alert("w", "warning", "slow"),
            _alert("m", "missed", agent="sql01"),
            _alert("new", "failed", "y", ago=1),
            _alert("old", "failed", "z", ago=9),
            _alert("a", "failed", "full", agent="x"),
            _alert("b", "failed", "full", agent="y"),
            _alert(None, "agent_silent", agent="pve02"),
            _alert("vm", "missed", agent="pve02"),
        ]
    )
    assert [problem.first.job or problem.silent_agent for problem in problems[:3]] == ["a", "new", "old"]
    assert [problem.kind.value for problem in problems] == ["failed"] * 3 + ["missed"] * 2 + ["warning"]
    silent = next(problem for problem in problems if problem.silent_agent)
    assert (silent.silent_agent, len(silent.jobs)) == ("pve02", 1)
