"""What `tocsin doctor` says about mails that came back, about addresses that fail, and about the mailbox that is read for them."""

from datetime import datetime, timedelta

from app.core.mailbox_url import mailbox_key, read_mailbox_url
from app.core.settings import Settings
from app.store.monitoring import bounced_without_successor
from app.store.returned_mails import all_bounced_addresses, find_mailbox_position
from app.store.routing import all_recipients
from app.store.transactions import ReadTx

_LATELY = timedelta(days=7)
_READ_WITHIN = timedelta(minutes=10)


async def check_bounces(tx: ReadTx, settings: Settings, now: datetime) -> tuple[list[str], list[str]]:
    """Return the lines about what is wrong, and those that are only good to know."""
    failing = [one for one in await all_bounced_addresses(tx) if one.fails]
    recipients = await all_recipients(tx) if failing else []
    wrong = []
    for one in failing:
        names = [it.name for it in recipients if one.address in {to.address.lower() for to in it.transports}]
        wrong.append(
            f"Mail to {one.address} ({', '.join(names) or 'no recipient'}) came back {one.in_a_row} times in a row, last "
            f"{one.last_at:%Y-%m-%d %H:%M} UTC: {one.status} {one.words[:200]}. Correct the address: PATCH /v1/recipients/<id>."
        )
    lost = await bounced_without_successor(tx, now - _LATELY)
    if lost:
        wrong.append(
            f"{lost} message(s) of the last 7 days came back, and no other transport was left, so their recipients were not notified: "
            "GET /v1/messages?state=bounced. Add another transport to these recipients, then :retry."
        )
    if settings.mailbox_url is not None:
        server = read_mailbox_url(settings.mailbox_url.get_secret_value())
        position = await find_mailbox_position(tx, mailbox_key(server))
        where = f"The mailbox of TOCSIN_MAILBOX_URL ({server.user} at {server.host}, folder {server.folder})"
        if position is None:
            wrong.append(f"{where} was never read: the worker does that, see its log.")
        elif position.trouble is not None:
            wrong.append(f"{where} cannot be read since {position.read_at:%Y-%m-%d %H:%M} UTC: {position.trouble}.")
        elif now - position.read_at > _READ_WITHIN:
            wrong.append(
                f"{where} was last read {position.read_at:%Y-%m-%d %H:%M} UTC: the worker does that, see its log."
            )
    sends_mail = settings.smtp_url is not None or settings.graph_mailbox is not None
    if not sends_mail or settings.bounce_address is not None or settings.mailbox_url is not None:
        return wrong, []
    note = "Mails that come back are not noticed: with TOCSIN_BOUNCE_ADDRESS, an alert that comes back goes by the recipient's next transport."
    return wrong, [f"{note} See docs/mail-bounces.md."]
