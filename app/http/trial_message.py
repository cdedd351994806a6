"""Builds a test message and sends it at once, without the outbox, so that an administrator sees how a transport answers."""

import asyncio
import time
from dataclasses import replace

from app.compose import mime, transport_test_mail
from app.context import AppContext
from app.core.errors import Conflict
from app.core.ids import new_id
from app.core.mail_address import message_id_header
from app.deliver.transports import build_programs, build_transports
from app.deliver.transports.http_caller import MASK
from app.domain.attempt import Sent, outcome_name
from app.domain.message import KEEPS_STATES, Parcel, takes_json
from app.domain.recipient import Address
from app.store.routing import TransportTest


async def send_trial(context: AppContext, to: Address, recipient_id: str) -> tuple[TransportTest, float]:
    """Send a test message; return how it ended and after how many seconds.

    A webhook is signed as for `recipient_id`. A program that keeps the states of alerts gets an example alert and, if it took it, its
    end. Raises Conflict where the transport is not set up.
    """
    transports = build_transports(context.settings, context.secret)
    try:
        if to.transport not in transports:
            missing = "TOCSIN_GRAPH_MAILBOX" if to.transport == "graph" else "TOCSIN_SMTP_URL"
            raise Conflict(f"{to.transport} is not set up; set {missing}", code="not_configured")
        now, started = context.clock(), time.perf_counter()
        trial = build_trial(context, to, recipient_id)
        outcome = await transports[to.transport].send(trial)
        if isinstance(outcome, Sent) and to.transport in KEEPS_STATES:
            ended = {transport_test_mail.EXAMPLE_ALERT: context.clock()}
            outcome = await transports[to.transport].send(replace(trial, ended=ended))
    finally:
        await asyncio.gather(*(transport.close() for transport in transports.values()))
    seconds = round(time.perf_counter() - started, 3)
    return TransportTest(to.transport, now, outcome_name(outcome), outcome.code, outcome.text), seconds


def build_trial(context: AppContext, to: Address, recipient_id: str) -> Parcel:
    """Return a test message for an address."""
    now, base_url, sender = context.clock(), context.settings.public_url, context.settings.mail_from
    parcel_id = new_id("msg")
    message_id = message_id_header(parcel_id, sender)
    if to.transport in KEEPS_STATES:
        body = transport_test_mail.example_alerts(now, base_url)
    elif takes_json(to.transport):
        body = transport_test_mail.webhook_body(now, base_url)
    else:
        rendered = transport_test_mail.render(now, base_url)
        body = mime.build(
            rendered, sender=sender, to=to.address, message_id=message_id, date=now, in_reply_to=None, references=()
        )
    return Parcel(parcel_id, recipient_id, to.address, message_id, body, options=to.options)


def preview_of(context: AppContext, to: Address, parcel: Parcel) -> str:
    """Return what would be sent for a message, with secrets masked."""
    if not takes_json(to.transport):
        return parcel.body.decode("utf-8", "replace")
    return build_programs(context.settings, context.secret, lambda _: MASK)[to.transport].preview(parcel)
