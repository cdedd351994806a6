"""/unsubscribe/...: the link by which a person outside unsubscribes from a summary. The link is signed, so no key is needed.

GET changes nothing and shows a page with a button, because programs that scan mails follow links. POST unsubscribes: the button sends it, or a mail
program ("one click", RFC 8058).
"""

from typing import Annotated
from urllib.parse import parse_qs

from fastapi import APIRouter, Path, Request
from fastapi.responses import HTMLResponse

from app.admin.editing import Editor
from app.admin.summary_schedules import leave_summary
from app.compose.unsubscribe import PATH, own_addresses, tell_of_unsubscription
from app.context import AppContext
from app.core.errors import BadInput, NotFound
from app.core.log import log
from app.domain.message import takes_json
from app.domain.recipient import Recipient
from app.domain.summary_schedule import SummarySchedule
from app.domain.unsubscribe_link import PURPOSE, is_outside, is_signed_for, read_link
from app.http.api.dependencies import Context
from app.http.pages.frame import render
from app.store.repository import Window
from app.store.routing import page_recipients, recipients_by_id
from app.store.summaries import SUMMARY_SCHEDULES
from app.store.transactions import ReadTx, WriteTx

router = APIRouter(include_in_schema=False)

_CLICK = ("List-Unsubscribe", "One-Click")
_MOST_ADMINS, _SEARCHED = 3, 200

Token = Annotated[str, Path(max_length=200)]


@router.get(PATH + "{token}")
async def show_unsubscription(token: Token, request: Request, context: Context) -> HTMLResponse:
    """Show which summary the link is about, and a button."""
    async with context.database.read() as tx:
        schedule, recipient = await _read(tx, context, token)
    is_subscribed = recipient.id in schedule.recipients and schedule.enabled
    return _page(request, context, schedule, recipient, is_subscribed=is_subscribed)


@router.post(PATH + "{token}")
async def unsubscribe(token: Token, request: Request, context: Context) -> HTMLResponse:
    """Unsubscribe the recipient of the link from the summary, and report it to administrators. A second request changes nothing."""
    name, value = _CLICK
    if parse_qs((await request.body())[:1000].decode("latin-1")).get(name) != [value]:
        raise BadInput(f"the body must be {name}={value}")
    async with context.database.write() as tx:
        schedule, recipient = await _read(tx, context, token)
        by = Editor(f"recipient {recipient.name}, by the link in a mail", context.clock(), context.wakeups.wake)
        if await leave_summary(tx, schedule.id, recipient.id, by) is not None:
            await _tell(tx, context, schedule, recipient)
    return _page(request, context, schedule, recipient, is_subscribed=False)


async def _read(tx: ReadTx, context: AppContext, token: str) -> tuple[SummarySchedule, Recipient]:
    """Return schedule and recipient of a link. Raises NotFound for one that we did not sign, or not for an address that they have now."""
    ids = read_link(token)
    if ids is not None:
        schedule = await SUMMARY_SCHEDULES.find(tx, ids[0])
        recipient = (await recipients_by_id(tx, [ids[1]])).get(ids[1])
        addresses = [] if recipient is None else [one.address for one in recipient.transports]
        is_signed = is_signed_for(context.secret.derive(PURPOSE), token, addresses)
        if schedule is not None and recipient is not None and is_signed:
            return schedule, recipient
    raise NotFound("this link is not valid any more")


async def _tell(tx: WriteTx, context: AppContext, schedule: SummarySchedule, left: Recipient) -> None:
    """Queue mails to the recipient `admin`, and to those who are not outside and get the same summary."""
    own = own_addresses(context.settings)
    page = await page_recipients(tx, Window(_SEARCHED))
    admins = [
        one
        for one in page.items
        if one.id != left.id
        and (one.follows_settings or one.name == "admin" or (one.id in schedule.recipients and _is_one_of_us(one, own)))
    ]
    reported = [
        await tell_of_unsubscription(context, tx, left.name, schedule.name, one, context.clock())
        for one in admins[:_MOST_ADMINS]
    ]
    log.warning("a recipient left a summary", recipient=left.id, schedule=schedule.id, administrators=sum(reported))


def _is_one_of_us(one: Recipient, own: tuple[str, ...]) -> bool:
    mails = [to.address for to in one.transports if not takes_json(to.transport)]
    return bool(mails) and not any(is_outside(address, own) for address in mails)


def _page(
    request: Request, context: AppContext, schedule: SummarySchedule, recipient: Recipient, *, is_subscribed: bool
) -> HTMLResponse:
    return render(
        request,
        context,
        None,
        "unsubscribe.html",
        schedule=schedule,
        recipient=recipient,
        is_subscribed=is_subscribed,
    )
