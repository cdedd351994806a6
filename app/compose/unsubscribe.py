"""Composes the headers by which a person outside unsubscribes from a summary (RFC 2369, RFC 8058), and the mail that reports it to administrators."""

from datetime import datetime, timedelta
from urllib.parse import quote

from markupsafe import escape

from app.compose import mime, phrases
from app.compose.render import RenderedMail
from app.context import AppContext
from app.core.ids import new_id
from app.core.mail_address import message_id_header, split_address
from app.core.settings import Settings
from app.domain.message import Bodies, Message, takes_json
from app.domain.notice import URGENCY_SUMMARY
from app.domain.recipient import Recipient
from app.domain.unsubscribe_link import PURPOSE, is_outside, sign_link
from app.store import outbox
from app.store.transactions import WriteTx

PATH = "/unsubscribe/"


def unsubscribe_headers(
    context: AppContext, schedule_id: str, recipient_id: str, address: str
) -> tuple[tuple[str, str], ...]:
    """Return the headers for the mail of a summary; none if its reader is not outside, or if neither a link nor a mail address can be offered.

    One click needs HTTPS (RFC 8058 section 3.1). Without it, a mail to the administrator is offered.
    """
    settings = context.settings
    if not is_outside(address, own_addresses(settings)):
        return ()
    ways: list[str] = []
    is_one_click = settings.public_url.startswith("https://")
    if is_one_click:
        token = sign_link(context.secret.derive(PURPOSE), schedule_id, recipient_id, address)
        ways.append(f"<{settings.public_url}{PATH}{token}>")
    if settings.admin_email is not None and settings.admin_email.isascii():
        ways.append(f"<mailto:{quote(settings.admin_email, safe='@')}?subject=unsubscribe>")
    headers = [("List-Unsubscribe", ", ".join(ways))] if ways else []
    return (*headers, *([("List-Unsubscribe-Post", "List-Unsubscribe=One-Click")] if is_one_click else []))


async def tell_of_unsubscription(
    context: AppContext, tx: WriteTx, who: str, summary: str, to: Recipient, now: datetime
) -> bool:
    """Queue a mail to an administrator: a recipient unsubscribed. Return False if the administrator has no mail address."""
    way = next(((place, one) for place, one in enumerate(to.transports) if not takes_json(one.transport)), None)
    if way is None:
        return False
    settings, (place, address), message_id = context.settings, way, new_id("msg")
    header = message_id_header(message_id, settings.mail_from)
    rendered = _render(phrases.one_line(who, 80), phrases.one_line(summary, 80), settings.public_url)
    mail = mime.build(
        rendered,
        sender=settings.mail_from,
        to=address.address,
        message_id=header,
        date=now,
        in_reply_to=None,
        references=(),
    )
    message = Message(
        id=message_id,
        recipient_id=to.id,
        transport=address.transport,
        place=place,
        address=address.address,
        urgency=URGENCY_SUMMARY,
        is_alert=False,
        subject=rendered.subject,
        message_id=header,
        created_at=now,
        due_at=now,
        move_on_at=now + timedelta(minutes=settings.failover_after_min),
        give_up_at=now + timedelta(hours=settings.retry_for_h),
    )
    await outbox.insert_messages(tx, [(message, Bodies(mail=mail))])
    tx.after_commit(lambda: context.wakeups.wake("messages"))
    return True


def _render(who: str, summary: str, base_url: str) -> RenderedMail:
    text = (
        f"{who} unsubscribed from the summary “{summary}” by the link in the mail. All other recipients still get it. "
        f"The audit log has an entry. To send the summary to {who} again, add this recipient to the schedule: PATCH {base_url}/v1/summary-schedules/<id>."
    )
    page = f"<!doctype html><html><body><p>{escape(text)}</p></body></html>"
    return RenderedMail(f"{who} unsubscribed from the summary “{summary}”", text + "\n", page)


def own_addresses(settings: Settings) -> tuple[str, ...]:
    """Return the addresses whose domains are ours: the sender's and the administrator's."""
    return (split_address(settings.mail_from)[1], settings.admin_email or "")
