"""Transports over HTTP: which there are, how their last test went, what waits for each; and a test at once."""

from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Path
from pydantic import BaseModel, Field

from app.admin.transports import record_transport_test
from app.context import AppContext
from app.deliver.transports.mend import what_to_mend
from app.domain.attempt import Attempt
from app.domain.canary import TIMES_OVER
from app.http.api.canaries import MailTimesOut
from app.http.api.dependencies import Admin, Context, Reader, editor_of, problems
from app.http.api.fields import Id, OutModel, StrictModel, example
from app.http.api.recipients import checked_address
from app.http.trial_message import send_trial
from app.store.attempts import latest_by_transport
from app.store.canaries import mail_times
from app.store.recipients import RECIPIENTS
from app.store.transports import last_tests, waiting

router = APIRouter(prefix="/v1/transports", tags=["transports"])

TransportPath = Annotated[Literal["smtp", "graph", "webhook", "file"], Path(description="Which transport.")]


class TransportTestOut(OutModel):
    """How a test ended."""

    at: datetime = Field(description="When it was made.")
    outcome: str = Field(description="sent, temporary, permanent or unknown.")
    code: str = Field(description="The reply code of the other side.", examples=["250"])
    text: str = Field(description="The other side's own words.")


class TransportTroubleOut(BaseModel):
    """Why the last attempt of a transport failed, and what to mend."""

    at: datetime | None = Field(description="When it ended.")
    outcome: str = Field(description="temporary, permanent or unknown.")
    code: str | None = Field(description="The reply code of the other side, or the cause, such as `sender` or `quota`.")
    text: str | None = Field(description="The other side's own words.")
    mend: str | None = Field(description="What to mend, where the code says it; it names the setting.")


class TransportTested(TransportTestOut):
    """How the test ended that was just made."""

    seconds: float = Field(description="How long it took.")
    mend: str | None = Field(description="What to mend, where the code says it; it names the setting.")


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
        max_length=1000, description="A mail address, or a URL for webhook.", examples=["admin@example.org"]
    )
    recipient_id: Id | None = Field(None, description="For webhooks: signed with this recipient's secret.")


@router.get("", operation_id="list_transports", summary="List transports", responses=problems())
async def list_transports(context: Context, _caller: Reader) -> TransportList:
    """Return the transports that are configured, that were tested or used lately, or that messages wait for."""
    async with context.database.read() as tx:
        tests, queues, attempts = await last_tests(tx), await waiting(tx), await latest_by_transport(tx)
        times = await mail_times(tx, context.clock() - TIMES_OVER)
    configured = configured_transports(context)
    items = []
    for kind in sorted({*configured, *queues, *tests, *attempts, *times} - {""}):
        test, queue = tests.get(kind), queues.get(kind)
        items.append(
            TransportOut(
                transport=kind,
                is_configured=kind in configured,
                last_test=None if test is None else TransportTestOut.of(test),
                trouble=_trouble(attempts.get(kind)),
                waiting=queue.messages if queue else 0,
                oldest_due_at=queue.oldest_due_at if queue else None,
                mail_times=MailTimesOut.of_transport(times.get(kind)),
            )
        )
    return TransportList(items=items)


@router.post(
    "/{transport}:test", operation_id="test_transport", summary="Test a transport", responses=problems(404, 409)
)
async def test_transport(
    transport: TransportPath, body: TransportTestCreate, context: Context, caller: Admin
) -> TransportTested:
    """Send a test message at once, without the outbox, and return how it ended. It is not tried again."""
    address = checked_address(transport, body.address)
    if body.recipient_id is not None:
        # The receiver would check the signature of an unknown recipient with another secret.
        async with context.database.read() as tx:
            await RECIPIENTS.get(tx, body.recipient_id, field="recipient_id")
    test, seconds = await send_trial(context, transport, address, body.recipient_id or "")
    async with context.database.write() as tx:
        await record_transport_test(tx, test, address, editor_of(context, caller))
    mend = None if test.outcome == "sent" else what_to_mend(test.code)
    return TransportTested(at=test.at, outcome=test.outcome, code=test.code, text=test.text, seconds=seconds, mend=mend)


def _trouble(last: Attempt | None) -> TransportTroubleOut | None:
    if last is None or last.outcome is None or last.outcome == "sent":
        return None
    mend = what_to_mend(last.code)
    return TransportTroubleOut(at=last.ended_at, outcome=last.outcome, code=last.code, text=last.text, mend=mend)


def configured_transports(context: AppContext) -> tuple[str, ...]:
    """Return the transports by which this process could send."""
    return ("file", "webhook", *context.settings.mail_transports)
