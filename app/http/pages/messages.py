"""/messages: every message with its state, and another try for one or for all of one cause."""

from dataclasses import dataclass
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse
from pydantic import BaseModel

from app.domain.message import Message, MessageState
from app.domain.person import Role
from app.domain.recipient import shown_address
from app.http.api.dependencies import Context
from app.http.api.transports import configured_transports
from app.http.pages.frame import render
from app.http.pages.session import SignedInPerson
from app.store.customers import Scope
from app.store.messages import MessageFilters, causes_of_dead, page_messages
from app.store.repository import Page, Window
from app.store.routing import page_recipients, recipients_by_id

router = APIRouter(include_in_schema=False)

_SHOWN, _RECIPIENTS, _CAUSES = 40, 500, 12


class MessagesAsked(BaseModel):
    """What the address of the page asks for."""

    state: Annotated[Literal["", "queued", "leased", "sent", "unknown", "dead", "moved", "bounced"], Query()] = ""
    transport: Annotated[str, Query(max_length=12)] = ""
    recipient: Annotated[str, Query(max_length=40)] = ""
    after: Annotated[str, Query(max_length=40)] = ""


@dataclass(frozen=True, slots=True)
class MessageRow:
    """A message with the name of its recipient."""

    message: Message
    recipient: str


@router.get("/messages")
async def show_messages(
    request: Request, context: Context, who: SignedInPerson, asked: Annotated[MessagesAsked, Query()]
) -> HTMLResponse:
    """Show the newest messages. Somebody who sees some customers sees the messages of these, customer by customer."""
    state = MessageState(asked.state) if asked.state else None
    window = Window(_SHOWN, after=asked.after or None)
    async with context.database.read() as tx:
        pages: list[Page[Message]] = []
        for customer_id in [None] if who.customers is None else sorted(who.customers):
            filters = MessageFilters(
                Scope(customer_id=customer_id),
                state=state,
                transport=asked.transport or None,
                recipient_id=asked.recipient or None,
            )
            pages.append(await page_messages(tx, filters, window))
        found = sorted((one for page in pages for one in page.items), key=lambda one: one.id, reverse=True)
        shown = found[:_SHOWN]
        has_more = len(found) > _SHOWN or any(page.next for page in pages)
        names = await recipients_by_id(tx, [one.recipient_id for one in shown])
        rows = []
        for one in shown:
            name = names[one.recipient_id].name if one.recipient_id in names else shown_address(one.address)
            rows.append(MessageRow(one, name))
        # Of all dead messages, also those behind the ones that are shown. Only who sees every customer can try them again together.
        causes = await causes_of_dead(tx, _CAUSES) if who.customers is None and who.role.covers(Role.OPERATOR) else []
        recipients = (await page_recipients(tx, Window(_RECIPIENTS))).items if who.customers is None else ()
    return render(
        request,
        context,
        who,
        "messages.html",
        place="messages",
        transports=sorted({"smtp", "graph", "mapi", *configured_transports(context)}),
        asked=asked,
        rows=rows,
        next=shown[-1].id if shown and has_more else None,
        recipients=recipients,
        causes=causes,
    )
