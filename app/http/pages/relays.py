"""/relays: how each relay is, what its doctor found and what to do about it, its last messages; and how a new one is set up.

A relay sends for several customers, or for all: only somebody who sees every customer changes one, or has a code made, with which the
messages of all can be leased.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from starlette.datastructures import FormData

from app.admin.relay_setup import create_setup_code
from app.admin.relays import ask_relay_doctor, create_relay, pause_relay, queue_test_message, resume_relay
from app.context import AppContext
from app.core.errors import BadInput, Conflict, NotFound, TocsinError
from app.core.unseen import plain_name, show_unseen
from app.domain.message import Message
from app.domain.person import Role
from app.domain.recipient import Address
from app.domain.relay import Relay, is_awaited, unfit
from app.http.api.dependencies import Context
from app.http.api.recipients import checked_address
from app.http.pages.done import saved_address
from app.http.pages.frame import render
from app.http.pages.kept_forms import forget_form, kept_form, need_fresh_and_keep
from app.http.pages.session import PostedForm, SignedIn, SignedInPerson, need_everything, need_fresh, text_of
from app.http.relay_setup_lines import RelaySetupOut, setup_out
from app.http.trial_message import build_trial
from app.store.customers import Scope
from app.store.messages import MessageFilters, page_messages
from app.store.relays import RELAYS, all_relays, oldest_for, waiting_for
from app.store.repository import Window
from app.store.transactions import ReadTx

router = APIRouter(include_in_schema=False)
PAGE = "/relays"
_LOOKED_AT, _SHOWN = 200, 5
_SILENT_AFTER, _OLDEST_AFTER = timedelta(minutes=5), timedelta(minutes=15)
Administrator = Annotated[SignedIn, Depends(need_everything(Role.ADMINISTRATOR))]


@dataclass(frozen=True, slots=True)
class RelayView:
    """A relay as the page shows it. `wrong` says what is wrong now, in words; None: nothing. `reported` is what its heartbeat holds.

    `is_awaited`: it was just added and has not reported yet.
    """

    relay: Relay
    wrong: str | None
    is_awaited: bool
    waiting: int
    oldest: datetime | None
    reported: Mapping[str, str]
    doctor: Sequence[Mapping[str, str]]
    messages: Sequence[Message]


@router.get(PAGE)
async def show_relays(request: Request, context: Context, who: SignedInPerson) -> HTMLResponse:
    """Show the relays of the customers that the person sees."""
    kept = kept_form(request, context, who)
    page = await _page(request, context, who, kept=kept)
    if kept is not None:
        forget_form(page, context)
    return page


@router.post(PAGE + "/new")
async def post_relay(request: Request, context: Context, who: Administrator, form: PostedForm) -> HTMLResponse:
    """Add a relay, and show once what to paste on its host."""
    need_fresh_and_keep(who, context, PAGE, form, ("name",))
    by, name = who.editor(context), plain_name(text_of(form, "name"))[:200]
    try:
        if not name:
            return await _page(request, context, who, refused=BadInput("enter a name", field="name"))
        async with context.database.write() as tx:
            relay = await create_relay(
                tx,
                name,
                by,
                customer_id=None,
                customers=(),
                recipients=(),
                silent_after=_SILENT_AFTER,
                oldest_after=_OLDEST_AFTER,
            )
            code, clear = await create_setup_code(tx, context.secret, relay.id, by)
    except (BadInput, Conflict) as refused:
        return await _page(request, context, who, refused=refused)
    setup = await asyncio.to_thread(setup_out, context.settings, clear, code.expires_at)
    return await _page(request, context, who, setup=setup, chosen=relay.name)


@router.post(PAGE + "/{relay_id}/code")
async def post_code(
    request: Request, context: Context, who: Administrator, relay_id: str, _form: PostedForm
) -> HTMLResponse:
    """Make a new code for a relay, and show once what to paste on its host."""
    need_fresh(who, context, PAGE)
    async with context.database.write() as tx:
        relay = await RELAYS.get(tx, relay_id)
        code, clear = await create_setup_code(tx, context.secret, relay_id, who.editor(context))
    setup = await asyncio.to_thread(setup_out, context.settings, clear, code.expires_at)
    return await _page(request, context, who, setup=setup, chosen=relay.name)


@router.post(PAGE + "/{relay_id}/act")
async def post_act(request: Request, context: Context, who: Administrator, relay_id: str, form: PostedForm) -> Response:
    """Ask the doctor of a relay, pause it, let it send again, or send a test message through it."""
    by = who.editor(context)
    try:
        match text_of(form, "what"):
            case "doctor":
                async with context.database.write() as tx:
                    await ask_relay_doctor(tx, relay_id, by)
            case "pause":
                why = show_unseen(text_of(form, "why")).strip()[:500] or "on the dashboard"
                async with context.database.write() as tx:
                    await pause_relay(tx, relay_id, why, by)
            case "resume":
                async with context.database.write() as tx:
                    await resume_relay(tx, relay_id, by)
            case "test":
                to = Address("mapi", checked_address("mapi", text_of(form, "address")))
                parcel = build_trial(context, to, relay_id)
                async with context.database.write() as tx:
                    await queue_test_message(tx, relay_id, parcel, by)
            case _:
                raise NotFound("there is no such act")
    except (BadInput, Conflict) as refused:
        return await _page(request, context, who, refused=refused)
    return RedirectResponse(saved_address(PAGE, who.csrf, by.at), 303)


async def _page(
    request: Request,
    context: AppContext,
    who: SignedIn,
    *,
    refused: TocsinError | None = None,
    setup: RelaySetupOut | None = None,
    chosen: str = "",
    kept: FormData | None = None,
) -> HTMLResponse:
    async with context.database.read() as tx:
        shown = [relay for relay in await all_relays(tx) if who.sees(relay.customer_id)]
        newest = (
            await page_messages(tx, MessageFilters(Scope(), transport="mapi"), Window(_LOOKED_AT)) if shown else None
        )
        messages = [one for one in (newest.items if newest else ()) if who.sees(one.customer_id)]
        views = [await _view(tx, relay, messages, context.clock()) for relay in shown]
    return render(
        request,
        context,
        who,
        "relays.html",
        status=200 if refused is None else refused.status,
        place="service",
        views=views,
        ill=sum(view.wrong is not None for view in views),
        awaited=sum(view.is_awaited for view in views),
        refused=refused,
        setup=setup,
        chosen=chosen,
        kept=kept,
        # Reasons and doctor's lines can name what another customer's message was about.
        sees_all=who.customers is None,
        may_change=who.role.covers(Role.ADMINISTRATOR) and who.customers is None,
    )


async def _view(tx: ReadTx, relay: Relay, messages: Sequence[Message], now: datetime) -> RelayView:
    oldest, reported = await oldest_for(tx, relay), relay.heartbeat
    lines = reported.get("doctor") or ()
    return RelayView(
        relay=relay,
        wrong=relay.trouble or unfit(relay, oldest, now),
        is_awaited=is_awaited(relay, now),
        waiting=await waiting_for(tx, relay),
        oldest=oldest,
        reported={
            name: str(reported.get(name) or "")
            for name in (
                "version",
                "host",
                "python",
                "client",
                "client_why",
                "profile",
                "paused_why",
                "sent",
                "doctor_at",
            )
        },
        doctor=[
            {name: str(line.get(name) or "") for name in ("question", "name", "state", "found", "remedy")}
            for line in lines
        ],
        messages=[one for one in messages if one.relay_id == relay.id][:_SHOWN],
    )
