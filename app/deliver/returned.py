"""Reads the mails that came back, after they were stored: a bounce goes to `bounces`, a canary to `canary`. Nothing is ever answered."""

import asyncio
import email
from datetime import datetime, timedelta

from app.context import AppContext
from app.core import metrics
from app.core.errors import Unavailable
from app.core.log import log
from app.core.periodic import Idle
from app.deliver.bounce_reader import read_report
from app.deliver.bounces import report_arrived
from app.deliver.canary import canary_arrived, unknown_canary_arrived
from app.domain.own_address import AddressKind
from app.domain.returned_mail import DeliveryReport, ReturnedMail, ReturnKind
from app.store import returned_mails
from app.store.transactions import WriteTx

_BATCH = 20
_WAIT = timedelta(
    seconds=5
)  # while the message is being sent: a fast server's notice comes before its attempt is settled
_RETRY_AFTER, _TRIES = timedelta(minutes=5), 5
_RECEIVED_MOST = 50


async def tick(context: AppContext) -> bool | Idle:
    """Read a batch of mails. True if there may be more; how long to wait for a wakeup if none is due before then."""
    now, idle = context.clock(), context.wakeups.idle
    async with context.database.read() as tx:
        due = await returned_mails.due_returned_mails(tx, now, _BATCH)
        if not due:
            return False if await returned_mails.due_returned_mails(tx, now + idle, 1) else Idle(idle)
    for mail in due:
        report = await asyncio.to_thread(read_report, mail.raw)
        try:
            async with context.database.write() as tx:
                await _apply(context, tx, mail, report, now)
        except Unavailable:
            raise
        except Exception:  # noqa: BLE001  (the boundary of one mail: it must not keep the others from being read)
            log.exception("a mail that came back could not be read", mail=mail.id, about=mail.about_id)
            async with context.database.write() as tx:
                later = now + _RETRY_AFTER
                await returned_mails.put_off_returned_mail(tx, mail.id, later, failed=True, most=_TRIES)
    return len(due) == _BATCH


async def _apply(context: AppContext, tx: WriteTx, mail: ReturnedMail, report: DeliveryReport, now: datetime) -> None:
    if await returned_mails.claim_returned_mail(tx, mail.id) is None:
        return
    if mail.kind is AddressKind.CANARY:
        follows: str | None = "noted"
        if report.kind in (ReturnKind.OTHER, ReturnKind.AUTO_REPLY):  # else it is a notice about the canary
            is_known = await canary_arrived(tx, mail.about_id, mail.received_at, _received_headers(mail.raw))
            follows = "the canary arrived" if is_known else await unknown_canary_arrived(context, tx, mail.raw)
    else:
        follows = await report_arrived(context, tx, mail, report, now)
    if follows is None:
        await returned_mails.put_off_returned_mail(tx, mail.id, now + _WAIT, failed=False, most=_TRIES)
        return
    status = "" if report.status is None or report.status in report.words else f"{report.status} "
    await returned_mails.finish_returned_mail(tx, mail.id, report.kind, f"{status}{report.words}", now)
    tx.after_commit(lambda: metrics.RETURNED.labels(report.kind).inc())
    tx.after_commit(lambda: log.info("a mail came back", about=mail.about_id, says=report.kind, follows=follows))


def _received_headers(raw: bytes) -> list[str]:
    try:
        found = email.message_from_bytes(raw).get_all("received", [])
        return [" ".join(str(one).split()) for one in found[:_RECEIVED_MOST]]
    except (RecursionError, ValueError, LookupError, TypeError, AttributeError):
        return []
