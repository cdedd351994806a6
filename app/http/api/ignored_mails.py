"""Ignored mails over HTTP: automatic replies, bounces, read receipts and mails of mailing lists that did not become events."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import Field

from app.http.api.dependencies import Context, Reader, problems
from app.http.api.fields import OnlyCustomer, OutId, OutModel, PathId
from app.http.paging import PagedByTime, PageOut
from app.store.mail_rules import IGNORED_MAILS, page_ignored_mails

router = APIRouter(prefix="/v1/ignored-mails", tags=["ignored-mails"])


class ListedIgnoredMailOut(OutModel):
    """A mail that did not become an event, in a list, without its text."""

    id: OutId
    customer_id: str = Field(description="The customer of the key that it was sent to.")
    received_at: datetime = Field(description="When we received it.")
    sender: str = Field(description="Its sender's address.")
    subject: str = Field(description="Its subject.")
    reason: str = Field(
        description="Why it did not become an event.",
        examples=["an automatic reply", "a notice that a mail was not, or not yet, delivered"],
    )


class IgnoredMailOut(ListedIgnoredMailOut):
    """A mail that did not become an event."""

    text: str = Field(description="Its visible text; at most 64 KiB of it are kept.")


class IgnoredMailPage(PageOut[ListedIgnoredMailOut]):
    """A page of mails that did not become events."""


class IgnoredMailsQuery(PagedByTime):
    """Filters of the list of ignored mails."""

    customer_id: OnlyCustomer = None


@router.get("", operation_id="list_ignored_mails", summary="List ignored mails", responses=problems())
async def list_ignored_mails(
    query: Annotated[IgnoredMailsQuery, Query()], context: Context, _caller: Reader
) -> IgnoredMailPage:
    """Return the mails of the last week that did not become events, newest first.

    If a mail rule matches such a mail, the next one becomes an event.
    """
    async with context.database.read() as tx:
        page = await page_ignored_mails(tx, query.window(IGNORED_MAILS.prefix), customer_id=query.customer_id)
    return IgnoredMailPage.of(page)


@router.get(
    "/{ignored_mail_id}", operation_id="get_ignored_mail", summary="Get an ignored mail", responses=problems(404)
)
async def get_ignored_mail(ignored_mail_id: PathId, context: Context, _caller: Reader) -> IgnoredMailOut:
    """Return one mail that did not become an event, with its text."""
    async with context.database.read() as tx:
        mail = await IGNORED_MAILS.get(tx, ignored_mail_id)
    return IgnoredMailOut.of(mail)
