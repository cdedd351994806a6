"""Sends canary mails: one a day by each way (a transport, or one relay), and one after each change of its settings.

Canary and message are written in one transaction: a crash leaves both or neither. A unique key prevents that two workers send the same one.
"""

from datetime import datetime, timedelta

from app.compose import canary_mail, mime
from app.context import AppContext
from app.core.errors import Conflict
from app.core.ids import new_id
from app.core.mail_address import message_id_header
from app.core.settings import Settings
from app.domain.canary import AGAIN_AFTER, RELAYED, Canary, Way, day_of, fingerprint_of, occasion_for
from app.domain.message import Bodies, Message
from app.domain.notice import URGENCY_CANARY
from app.domain.own_address import PURPOSE, AddressKind, sign_address
from app.domain.relay import unfit
from app.domain.summary_numbers import PURPOSE as NUMBERS
from app.domain.summary_numbers import sign_numbers
from app.store import canaries, outbox, relays
from app.store.first_start import first_customer
from app.store.summaries import summary_numbers
from app.store.transactions import ReadTx

# What these settings hold changes without anybody's doing, or does not change whether a mail arrives.
_NO_CHANGE = ("smtp_oauth_token", "smtp_timeout_s", "smtp_connections", "smtp_messages_per_connection")
_SETTINGS_OF = {"smtp": ("smtp_", "oauth_", "dkim_"), "graph": ("graph_", "oauth_"), RELAYED: ()}


async def tick(context: AppContext) -> bool:
    """Send the canaries that are due. Returns False: none is left."""
    if context.settings.sends_canaries:
        await _send(context, asked=None)
    return False


async def send_now(context: AppContext) -> list[Canary]:
    """Send a canary by each way now, as an administrator asked. Raises Conflict where they are off."""
    if not context.settings.sends_canaries:
        raise Conflict(
            "canary mails are off; set TOCSIN_BOUNCE_ADDRESS, and TOCSIN_MAIL_IN_PORT or TOCSIN_MAILBOX_URL",
            code="not_configured",
        )
    return await _send(context, asked=new_id("cny"))


async def _send(context: AppContext, *, asked: str | None) -> list[Canary]:
    """Send a canary by each way for which one is due, or for which one is `asked` for, and return them."""
    settings, now = context.settings, context.clock()
    key = context.secret.derive("canary")
    day = day_of(now, settings.time_zone, key[0] % 60)
    async with context.database.read() as tx:
        due = []
        for way in await _ways(tx, settings, key, now):
            occasion = f"asked {asked}" if asked else None
            if not asked:
                newest = await canaries.newest_of(tx, way.transport, way.relay_id)
                todays = await canaries.newest_of(tx, way.transport, way.relay_id, day=day, fingerprint=way.fingerprint)
                occasion = occasion_for(way, day, todays, newest, now)
            if occasion is not None:
                due.append((way, occasion))
        numbers = sign_numbers(context.secret.derive(NUMBERS), await summary_numbers(tx)) if due else ()
    sent = []
    for way, occasion in due:
        canary = Canary(
            id=new_id("cny"),
            customer_id=way.customer_id,
            transport=way.transport,
            relay_id=way.relay_id,
            name=way.name,
            day=day,
            fingerprint=way.fingerprint,
            occasion=occasion,
            message_id=new_id("msg"),
            sent_at=now,
        )
        message, mail = _compose(context, canary, numbers)
        async with context.database.write() as tx:
            if await canaries.insert_canary(tx, canary):
                await outbox.insert_messages(tx, [(message, Bodies(mail=mail))])
                tx.after_commit(lambda: context.wakeups.wake("messages"))
                sent.append(canary)
    return sent


async def _ways(tx: ReadTx, settings: Settings, key: bytes, now: datetime) -> list[Way]:
    """Return the ways by which mails can leave now. The trouble of a relay that is not fit is reported by itself."""
    owner = await first_customer(tx)
    if owner is None:
        return []
    ways = [Way(kind, kind, owner, fingerprint_of(key, _facts(settings, kind))) for kind in settings.mail_transports]
    for relay in await relays.all_relays(tx):
        if relay.seen_at is None or unfit(relay, await relays.oldest_for(tx, relay), now) is not None:
            continue
        reported = {name: str(relay.heartbeat.get(name, "")) for name in ("version", "host", "client", "profile")}
        fingerprint = fingerprint_of(key, _facts(settings, RELAYED) | reported)
        ways.append(Way(RELAYED, f"relay {relay.name}", relay.customer_id, fingerprint, relay.id))
    return ways


def _facts(settings: Settings, transport: str) -> dict[str, str]:
    """Return the settings that decide how mails leave by a transport."""
    found = settings.plain_values("mail_from", "bounce_address", "mailbox_url", *_SETTINGS_OF[transport])
    return {name: value for name, value in found.items() if name not in _NO_CHANGE}


def _compose(context: AppContext, canary: Canary, numbers: tuple[tuple[str, str], ...]) -> tuple[Message, bytes]:
    settings, now, sender = context.settings, canary.sent_at, context.settings.mail_from
    secret = context.secret.derive(PURPOSE)
    address = sign_address(secret, settings.bounce_address or "", AddressKind.CANARY, canary.id)
    header = message_id_header(canary.message_id, sender)
    rendered = canary_mail.render(canary.name, now, settings.public_url, numbers)
    mail = mime.build(rendered, sender=sender, to=address, message_id=header, date=now, in_reply_to=None, references=())
    # Tried for longer than it may take: one that comes late closes the alert.
    give_up_at = now + timedelta(minutes=settings.canary_within_min) + AGAIN_AFTER
    message = Message(
        id=canary.message_id,
        recipient_id=canary.relay_id or canary.id,  # a relay's message to itself stays with it, as its test messages do
        transport=canary.transport,
        place=0,
        address=address,
        urgency=URGENCY_CANARY,
        is_alert=False,
        subject=rendered.subject,
        message_id=header,
        created_at=now,
        due_at=now,
        move_on_at=give_up_at,
        give_up_at=give_up_at,
        relay_id=canary.relay_id or None,
    )
    return message, mail
