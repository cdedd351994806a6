"""Transports over HTTP: which there are, how their last test went, what waits for each; and a test at once."""

from datetime import datetime
from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel, Field

from app.admin.audit import note
from app.context import AppContext
from app.core.errors import NotFound
from app.http import trial
from app.http.api.dependencies import Admin, Context, Reader, editor_of, problems
from app.http.api.fields import Id, StrictModel
from app.http.api.recipients import checked_address
from app.store import transports
from app.store.recipients import RECIPIENTS


class Test(BaseModel):
    """How a test ended."""

    at: datetime
    outcome: str = Field(description="sent, temporary, permanent or unknown.")
    code: str = Field(examples=["250"])
    text: str = Field(description="The other side's own words.")


class TestNow(Test):
    """How the test ended that was just made."""

    seconds: float


class Transport(BaseModel):
    """A transport."""

    transport: str
    is_configured: bool = Field(description="False: no mail server is set, or its relay sends for it.")
    last_test: Test | None = Field(description="Null: it was never tested.")
    waiting: int = Field(description="Messages not settled.")
    oldest_due_at: datetime | None = Field(description="When the oldest of them was due.")


class Transports(BaseModel):
    """All of them."""

    items: list[Transport]


class Trial(StrictModel):
    """Where the test goes."""

    address: str = Field(max_length=1000, examples=["admin@example.org"])
    recipient_id: Id | None = Field(None, description="For webhooks: signed with this recipient's secret.")


router = APIRouter(prefix="/v1/transports", tags=["transports"])


@router.get("", summary="List transports", responses=problems())
async def list_transports(context: Context, _caller: Reader) -> Transports:
    """Give those that are configured, and those that messages wait for."""
    async with context.database.read() as tx:
        tested, waiting = await transports.trials(tx), await transports.waiting(tx)
    configured = configured_transports(context)
    shown = []
    for kind in sorted({*configured, *waiting, *tested}):
        last, queue = tested.get(kind), waiting.get(kind)
        shown.append(
            Transport(
                transport=kind,
                is_configured=kind in configured,
                last_test=None if last is None else Test.model_validate(last, from_attributes=True),
                waiting=queue.messages if queue else 0,
                oldest_due_at=queue.oldest_due_at if queue else None,
            )
        )
    return Transports(items=shown)


@router.post("/{transport}:test", summary="Test a transport", responses=problems(404, 409))
async def test_transport(
    transport: Literal["smtp", "webhook", "file"], given: Trial, context: Context, caller: Admin
) -> TestNow:
    """Send a test message at once, past the outbox, and say how it ended. It is not tried again."""
    address = checked_address(transport, given.address)
    await _check_recipient(context, given.recipient_id)
    ended, seconds = await trial.try_transport(context, transport, address, given.recipient_id or "")
    by = editor_of(context, caller)
    async with context.database.write() as tx:
        await transports.record_trial(tx, ended)
        await note(tx, by.who, by.at, "test", "transport", transport, {"address": address})
    return TestNow(at=ended.at, outcome=ended.outcome, code=ended.code, text=ended.text, seconds=seconds)


async def _check_recipient(context: AppContext, recipient_id: str | None) -> None:
    """Raise NotFound for one that is not there: its receiver would check our signature with another secret."""
    if recipient_id is None:
        return
    async with context.database.read() as tx:
        if await RECIPIENTS.find(tx, recipient_id) is None:
            raise NotFound(f"there is no recipient {recipient_id}", field="recipient_id")


def configured_transports(context: AppContext) -> tuple[str, ...]:
    """Name those that this process could send by."""
    return ("file", "webhook") if context.settings.smtp_url is None else ("file", "smtp", "webhook")
