"""Builds a test message and sends it at once, without the outbox, so that an administrator sees how a transport answers."""

import asyncio
import time

from app.compose import mime, transport_test_mail
from app.context import AppContext
from app.core.errors import Conflict
from app.core.ids import new_id
from app.core.mail_address import id_domain
from app.deliver.transports import build_transports
from app.domain.attempt import outcome_name
from app.domain.message import Parcel, takes_json
from app.store.transports import TransportTest


async def send_trial(context: AppContext, kind: str, address: str, recipient_id: str) -> tuple[TransportTest, float]:
    """Send a test message; return how it ended and after how many seconds.

    A webhook is signed as for `recipient_id`. Raises Conflict where the transport is not set up.
    """
    transports = build_transports(context.settings, context.secret.derive("webhook"))
    try:
        if kind not in transports:
            missing = "TOCSIN_GRAPH_MAILBOX" if kind == "graph" else "TOCSIN_SMTP_URL"
            raise Conflict(f"{kind} is not set up; set {missing}", code="not_configured")
        now, started = context.clock(), time.perf_counter()
        outcome = await transports[kind].send(build_trial(context, kind, address, recipient_id))
    finally:
        await asyncio.gather(*(transport.close() for transport in transports.values()))
    seconds = round(time.perf_counter() - started, 3)
    return TransportTest(kind, now, outcome_name(outcome), outcome.code, outcome.text), seconds


def build_trial(context: AppContext, kind: str, address: str, recipient_id: str) -> Parcel:
    """Return a test message for a transport."""
    now, base_url, sender = context.clock(), context.settings.public_url, context.settings.mail_from
    parcel_id = new_id("msg")
    message_id = f"<{parcel_id}@{id_domain(sender)}>"
    if takes_json(kind):
        return Parcel(parcel_id, recipient_id, address, message_id, transport_test_mail.webhook_body(now, base_url))
    rendered = transport_test_mail.render(now, base_url)
    mail = mime.build(
        rendered, sender=sender, to=address, message_id=message_id, date=now, in_reply_to=None, references=()
    )
    return Parcel(parcel_id, recipient_id, address, message_id, mail)
