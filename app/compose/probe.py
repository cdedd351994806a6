"""Words the alert of the probe as a mail to nobody."""

from dataclasses import replace

from app.compose import alert_mail, mime
from app.context import AppContext
from app.core.mail_address import message_id_header
from app.domain.alert import Alert, AlertKind
from app.domain.event import Activity, Severity
from app.domain.mail_views import AlertView
from app.domain.notice import NoticeKind
from app.domain.probe import AGENT, CUSTOMER, JOB, Probe
from app.store.heartbeats import find_probe, pass_probe_on


async def tick(context: AppContext) -> None:
    """Compose the mail of the probe if it waits for that."""
    async with context.database.read() as tx:
        probe = await find_probe(tx)
    if probe is None or probe.decided_at is None or probe.composed_at is not None:
        return
    settings = context.settings
    rendered = alert_mail.render([_view(probe)], base_url=settings.public_url)
    mail = mime.build(
        rendered,
        sender=settings.mail_from,
        to="probe@invalid",
        message_id=message_id_header(probe.id, settings.mail_from),
        date=context.clock(),
        in_reply_to=None,
        references=(),
    )
    async with context.database.write() as tx:
        await pass_probe_on(tx, replace(probe, composed_at=context.clock(), body=mail))
        tx.after_commit(lambda: context.wakeups.wake("messages"))


def _view(probe: Probe) -> AlertView:
    at = probe.stored_at
    alert = Alert(
        id="probe",
        customer_id=CUSTOMER,
        agent_id=AGENT,
        subject_id="probe",
        kind=AlertKind.FAILED,
        severity=Severity.ERROR,
        reason=probe.reason or "",
        since=at,
        opened_at=at,
        last_at=at,
        job_id="probe",
        message="a probe of the pipeline",
    )
    return AlertView(
        alert=alert,
        what=NoticeKind.OPENED,
        reason=probe.reason or "",
        customer=CUSTOMER,
        time_zone="UTC",
        agent=AGENT,
        job=JOB,
        activity=Activity.BACKUP.value,
        last_success_at=None,
        failures_in_row=1,
        missed_in_row=0,
        warnings_in_row=0,
        expected_at=None,
        next_due_at=None,
        log_tail=None,
        metrics={},
        run_id=None,
        thread_id=None,
    )
