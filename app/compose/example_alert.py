"""An alert that is made up, to show what a mail looks like where nothing has failed yet. Pure."""

from datetime import datetime, timedelta

from app.domain.alert import Alert, AlertKind
from app.domain.event import Activity, Severity
from app.domain.mail_views import AlertView
from app.domain.notice import NoticeKind

_ID = "alr_00000000000000000000000000e1"


def example_view(now: datetime) -> AlertView:
    """Return the view of an example: a backup that failed a moment ago. Each of its names says that it is an example."""
    at = now - timedelta(minutes=2)
    alert = Alert(
        id=_ID,
        customer_id="cus_00000000000000000000000000e1",
        agent_id="agt_00000000000000000000000000e1",
        subject_id=_ID,
        kind=AlertKind.FAILED,
        severity=Severity.ERROR,
        reason="1st failure",
        since=at,
        opened_at=at,
        last_at=at,
        job_id="job_00000000000000000000000000e1",
        message="Example: no space left on device",
    )
    return AlertView(
        alert=alert,
        what=NoticeKind.OPENED,
        reason="this is an example, as no alert of the last 30 days would have gone here",
        customer="Example customer",
        time_zone="UTC",
        agent="example-host",
        job="example-job",
        activity=Activity.BACKUP.value,
        last_success_at=at - timedelta(days=1),
        failures_in_row=1,
        missed_in_row=0,
        warnings_in_row=0,
        expected_at=None,
        next_due_at=at + timedelta(days=1),
        log_tail="copying /srv/shares\nerror: no space left on device",
        metrics={"duration_s": 754.0},
        run_id=None,
        thread_id=None,
    )
