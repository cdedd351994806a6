"""Transports over HTTP: which there are, how their last test went, what waits for each; and a test at once."""

from dataclasses import replace
from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Path
from pydantic import BaseModel, Field, JsonValue

from app.admin.transports import record_transport_test
from app.compose.transport_test_mail import example_alerts
from app.compose.webhook_body import render_alerts
from app.context import AppContext
from app.core.ids import new_id
from app.deliver.transports.remedies import remedy_of
from app.domain.alert import Alert
from app.domain.canary import TIMES_OVER
from app.domain.message import takes_json
from app.domain.notice import URGENCY_ALERT, Notice, NoticeKind, NoticeState
from app.domain.recipient import Address
from app.domain.transport_options import PROGRAM_TRANSPORTS, OwnTransport
from app.http.api.canaries import MailTimesOut
from app.http.api.dependencies import Admin, Context, Reader, editor_of, problems
from app.http.api.fields import Id, OutModel, StrictModel, example
from app.http.api.recipients import tested_address
from app.http.trial_message import build_trial, preview_of, send_trial
from app.store.alerts import ALERTS
from app.store.canaries import mail_times
from app.store.messages import read_alert_views
from app.store.outbox import latest_by_transport
from app.store.routing import RECIPIENTS, last_transport_tests, transport_queues

router = APIRouter(prefix="/v1/transports", tags=["transports"])

TransportPath = Annotated[OwnTransport, Path(description="Which transport.")]


class TransportTestOut(OutModel):
    """How a test ended."""

    at: datetime = Field(description="When it was made.")
    outcome: str = Field(description="sent, temporary, permanent or unknown.")
    code: str = Field(description="The reply code of the other side.", examples=["250"])
    text: str = Field(description="What the other side answered.")


class TransportTroubleOut(BaseModel):
    """Why the last attempt of a transport failed, and what to correct."""

    at: datetime | None = Field(description="When it ended.")
    outcome: str = Field(description="temporary, permanent or unknown.")
    code: str | None = Field(description="The reply code of the other side, or the cause, such as `sender` or `quota`.")
    text: str | None = Field(description="What the other side answered.")
    mend: str | None = Field(description="What to correct, if the code shows it; it names the setting.")


class TransportTested(TransportTestOut):
    """How the test ended that was just made."""

    seconds: float = Field(description="How long it took.")
    mend: str | None = Field(description="What to correct, if the code shows it; it names the setting.")


class TransportOut(BaseModel):
    """A transport."""

    transport: str = Field(description="Its name: smtp, graph, webhook, file or mapi.")
    is_configured: bool = Field(description="False: it is not set up, or a relay sends for it.")
    last_test: TransportTestOut | None = Field(description="How its last test ended; null: it was never tested.")
    trouble: TransportTroubleOut | None = Field(
        description="The last attempt, if it failed; null: it was sent, or there was none lately."
    )
    waiting: int = Field(description="How many of its messages are not settled.")
    oldest_due_at: datetime | None = Field(description="When the oldest of them was due; null: none waits.")
    mail_times: MailTimesOut | None = Field(
        description="How long its mail took in the last 30 days, by its canary mails; null: there were none."
    )


class TransportList(BaseModel):
    """All transports."""

    items: list[TransportOut] = Field(description="The transports, by name.")


class TransportTestCreate(StrictModel, json_schema_extra=example(address="admin@example.org")):
    """Where the test message goes."""

    address: str = Field(
        max_length=1000,
        description="A mail address, or the address of a program as a recipient has it.",
        examples=["admin@example.org"],
    )
    options: dict[str, JsonValue] | None = Field(
        None,
        description="As in the address of a recipient. Left out: those of `recipient_id`, if it has this address.",
    )
    recipient_id: Id | None = Field(
        None,
        description="For webhooks: signed with this recipient's secret. Its secrets are used where they are not sent.",
    )


class TransportPreviewCreate(
    TransportTestCreate, json_schema_extra=example(address="https://hooks.example.org/tocsin")
):
    """What to show: the message for an address."""

    alert_id: Id | None = Field(None, description="The alert that it is about; left out: an example.")
    what: Literal["opened", "repeated", "acknowledged", "recovered"] = Field(
        "opened", description="What the message says of the alert."
    )


class TransportPreview(BaseModel):
    """What would be sent."""

    content: str = Field(
        description="The requests or the mail, exactly as they would be sent; `***` stands for a secret."
    )


@router.get("", operation_id="list_transports", summary="List transports", responses=problems())
async def list_transports(context: Context, _caller: Reader) -> TransportList:
    """Return the transports that are configured, that were tested or used lately, or that messages wait for."""
    return TransportList(items=await read_transports(context))


async def read_transports(context: AppContext) -> list[TransportOut]:
    """Return the transports as `list_transports` does."""
    async with context.database.read() as tx:
        tests, queues, attempts = (
            await last_transport_tests(tx),
            await transport_queues(tx),
            await latest_by_transport(tx),
        )
        times = await mail_times(tx, context.clock() - TIMES_OVER)
    configured = configured_transports(context)
    items = []
    for kind in sorted({*configured, *queues, *tests, *attempts, *times} - {""}):
        test, queue, last = tests.get(kind), queues.get(kind), attempts.get(kind)
        trouble = None
        if last is not None and last.outcome not in (None, "sent"):
            mend = remedy_of(last.code, kind)
            trouble = TransportTroubleOut(
                at=last.ended_at, outcome=last.outcome, code=last.code, text=last.text, mend=mend
            )
        items.append(
            TransportOut(
                transport=kind,
                is_configured=kind in configured,
                last_test=None if test is None else TransportTestOut.of(test),
                trouble=trouble,
                waiting=queue.messages if queue else 0,
                oldest_due_at=queue.oldest_due_at if queue else None,
                mail_times=MailTimesOut.of_transport(times.get(kind)),
            )
        )
    return items


@router.post(
    "/{transport}:test", operation_id="test_transport", summary="Test a transport", responses=problems(404, 409)
)
async def test_transport(
    transport: TransportPath, body: TransportTestCreate, context: Context, caller: Admin
) -> TransportTested:
    """Send a test message at once, without the outbox, and return how it ended. It is not tried again."""
    to = await _read_address(context, transport, body)
    test, seconds = await send_trial(context, to, body.recipient_id or "")
    async with context.database.write() as tx:
        await record_transport_test(tx, test, to.address, editor_of(context, caller))
    mend = None if test.outcome == "sent" else remedy_of(test.code, test.transport)
    return TransportTested(at=test.at, outcome=test.outcome, code=test.code, text=test.text, seconds=seconds, mend=mend)


@router.post(
    "/{transport}:preview", operation_id="preview_transport", summary="Show a message", responses=problems(404)
)
async def preview_transport(
    transport: TransportPath, body: TransportPreviewCreate, context: Context, _caller: Admin
) -> TransportPreview:
    """Return what would be sent to an address for an alert, without sending it."""
    to = await _read_address(context, transport, body)
    if body.alert_id is not None:
        async with context.database.read() as tx:
            alert = await ALERTS.get(tx, body.alert_id, field="alert_id")
            views = await read_alert_views(tx, [previewed_notice(alert, body.what, context.clock())])
        document = render_alerts(list(views.values()), base_url=context.settings.public_url, is_whole=True)
    else:
        document = example_alerts(context.clock(), context.settings.public_url, body.what)
    trial = build_trial(context, to, body.recipient_id or "")
    parcel = replace(trial, body=document) if takes_json(transport) else trial
    return TransportPreview(content=preview_of(context, to, parcel))


async def _read_address(context: AppContext, transport: str, body: TransportTestCreate) -> Address:
    """Return the address to test or show. Raises BadInput, and NotFound if there is no such recipient."""
    before: tuple[Address, ...] = ()
    if body.recipient_id is not None:
        # The receiver would check the signature of an unknown recipient with another secret.
        async with context.database.read() as tx:
            before = (await RECIPIENTS.get(tx, body.recipient_id, field="recipient_id")).transports
    return tested_address(transport, body.address, body.options, context, before)


def previewed_notice(alert: Alert, what: str, at: datetime, reason: str = "a preview by an administrator") -> Notice:
    """Return a notice about an alert that is only shown, and never stored."""
    return Notice(
        id=new_id("ntc"),
        what=NoticeKind(what),
        state=NoticeState.WAITING,
        reason=reason,
        due_at=at,
        group_key="",
        urgency=URGENCY_ALERT,
        dedupe="",
        created_at=at,
        customer_id=alert.customer_id,
        alert_id=alert.id,
    )


def configured_transports(context: AppContext) -> tuple[str, ...]:
    """Return the transports by which this process could send."""
    return ("file", *PROGRAM_TRANSPORTS, *context.settings.mail_transports)
