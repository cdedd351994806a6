"""Views to render: an alert and a summary as compose receives them. A test can replace each field."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

from app.domain.alert import Alert, AlertKind
from app.domain.event import Severity
from app.domain.job import JobState
from app.domain.mail_views import AlertView, DayCell, JobLine, Section, SummaryView, Totals
from app.domain.notice import NoticeKind

NOW = datetime(2026, 11, 24, 1, 10, tzinfo=UTC)  # Tuesday, 02:10 in Berlin
DAY = timedelta(days=1)
MORNING = datetime(2026, 11, 24, 6, 0, tzinfo=UTC)
TODAY = date(2026, 11, 24)
GIB = 1024**3
_ALERT_FIELDS = frozenset(Alert.__dataclass_fields__)


def make_alert_view(number: int = 1, **given: object) -> AlertView:
    """Make `nightly-sql on sql01 (Acme)`, failed at NOW; keyword arguments replace fields of the alert or of the view."""
    alert = Alert(
        id=f"alr_{number:028x}",
        customer_id="cus_1",
        agent_id="agt_1",
        subject_id=f"job_{number}",
        job_id=f"job_{number}",
        kind=AlertKind.FAILED,
        severity=Severity.ERROR,
        reason="1st failure in a row",
        since=NOW,
        opened_at=NOW,
        last_at=NOW,
        message="repository is locked",
    )
    view = AlertView(
        alert=alert,
        what=NoticeKind.OPENED,
        reason="1st failure in a row; route 'everything'; not silenced",
        customer="Acme",
        time_zone="Europe/Berlin",
        agent="sql01",
        job="nightly-sql",
        activity="backup",
        last_success_at=NOW - DAY + timedelta(minutes=2),
        failures_in_row=1,
        missed_in_row=0,
        warnings_in_row=0,
        expected_at=None,
        next_due_at=NOW + DAY - timedelta(minutes=10),
        log_tail=None,
        metrics={},
        run_id=f"run_{number}",
        thread_id=None,
    )
    of_alert = {name: value for name, value in given.items() if name in _ALERT_FIELDS and name != "reason"}
    rest = {name: value for name, value in given.items() if name not in of_alert}
    return replace(view, alert=replace(alert, **of_alert), **rest)  # type: ignore[arg-type]


def recovered(view: AlertView, at: datetime = NOW + 3 * DAY) -> AlertView:
    """Return the view with its alert closed."""
    closed = replace(view.alert, closed_at=at, closed_reason="the run succeeded")
    return replace(view, alert=closed, what=NoticeKind.RECOVERED, last_success_at=at)


def strip_of(words: str) -> tuple[DayCell, ...]:
    """Make a strip ending TODAY: o ok, w warning, f failed, m missed, l late, c cancelled, u unclear, anything else no data."""
    cells = []
    for place, rendered in enumerate(words):
        ran = rendered in "owfl"
        cells.append(
            DayCell(
                day=TODAY - timedelta(days=len(words) - 1 - place),
                successes=int(rendered in "ol"),
                warnings=int(rendered == "w"),
                failures=int(rendered == "f"),
                missed=int(rendered in "ml"),
                cancelled=int(rendered == "c"),
                bytes_processed=(12 * GIB + place * GIB // 10) * ran,
                bytes_stored=GIB * ran,
                duration_s=2460.0 * ran,
                unclear=int(rendered == "u"),
            )
        )
    return tuple(cells)


def job_line(job: str = "nightly-sql", strip: str = "o" * 14, **given: object) -> JobLine:
    """Make one job's line of a summary."""
    line = JobLine(
        job_id=f"job_{job}",
        customer="Acme",
        agent="sql01",
        job=job,
        activity="backup",
        state=JobState.OK,
        failing_since=None,
        last_success_at=MORNING - timedelta(hours=5),
        last_message=None,
        silenced_until=None,
        strip=strip_of(strip),
    )
    return replace(line, **given)  # type: ignore[arg-type]


def make_summary_view(**given: object) -> SummaryView:
    """Make a good night: all of 412 jobs are ok."""
    view = SummaryView(
        schedule="daily",
        number=118,
        period_start=MORNING - DAY,
        period_end=MORNING,
        time_zone="Europe/Berlin",
        expected=412,
        heard=412,
        jobs=412,
        failed=0,
        missed=0,
        warnings=0,
        ok=412,
        new=0,
        silent_agents=(),
        without_expectation=0,
        undelivered=0,
        set_aside=0,
        totals=Totals(812 * GIB, 41 * GIB, 9.4 * 3600, 790.0 * GIB, 38.0 * GIB, 9.2 * 3600),
        sections=(Section("ok", tuple(job_line(f"files-{n:03d}") for n in range(412)), 0),),
    )
    return replace(view, **given)  # type: ignore[arg-type]
