"""/routing: who is notified of what. Lists and forms of routes, rules, recipients, silences and summaries, for administrators of all customers.

A form is sent twice: the first time the page shows what it would do, the second time it is stored. It carries the version that it
rests on, so that an edit of somebody else in between is not lost.
"""

from collections.abc import Sequence
from functools import partial
from typing import Annotated, Any, Literal, cast

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from fastapi.responses import HTMLResponse
from pydantic import BaseModel
from starlette.datastructures import FormData

from app.admin.editing import Editor
from app.compose import summary_mail
from app.context import AppContext
from app.core.errors import NotFound, StaleEdit, TocsinError
from app.domain.alert import AlertKind
from app.domain.calendar import whole_period_until
from app.domain.matcher import FIELDS, Comparison
from app.domain.person import Role
from app.domain.recipient import Recipient
from app.http.api.dependencies import Context
from app.http.pages import routing_forms as forms
from app.http.pages.acts import back_to
from app.http.pages.frame import render, viewer_of
from app.http.pages.recipient_rows import AddressRow, checked_recipient, read_rows, row_place, stored_rows
from app.http.pages.routing_effects import Effect, PreviewedMail, alert_mail_of, effect_of
from app.http.pages.routing_store import (
    Thing,
    all_things,
    create_thing,
    delete_thing,
    find_thing,
    made,
    move_thing,
    update_thing,
)
from app.http.pages.session import PostedForm, SignedIn, need_everything, text_of
from app.http.pages.transport_fields import MAIL_TRANSPORTS, TRANSPORT_FIELDS, address_hint
from app.http.trial_message import send_trial
from app.store.customers import CUSTOMERS
from app.store.repository import Window
from app.store.routing import all_recipients
from app.store.summaries import SUMMARY_SCHEDULES
from app.store.summary_views import read_summary_view
from app.store.transactions import ReadTx

router = APIRouter(include_in_schema=False)

PATH = "/routing"
_CUSTOMERS_MOST = 2_000
_FRAME_POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'self'; sandbox"
RoutedName = Literal["routes", "rules", "recipients", "silences", "summaries"]
RowId = Annotated[str, Path(pattern=r"^[a-z]{3}_[0-9a-f]{28}$")]


# Of every customer: routes of others' alerts are nobody else's to read or change.
Router = Annotated[SignedIn, Depends(need_everything(Role.ADMINISTRATOR))]


@router.get(PATH)
async def show_routing(
    request: Request, context: Context, who: Router, tab: Annotated[RoutedName, Query()] = "routes"
) -> HTMLResponse:
    """Show one of the lists."""
    async with context.database.read() as tx:
        things = await all_things(tx, tab, context.clock())
        names = {one.id: one.name for one in await all_recipients(tx)}
        customers = await _customers(tx)
    return render(
        request,
        context,
        who,
        "routing.html",
        place="routing",
        tab=tab,
        kinds=list(forms.KINDS),
        own=forms.KINDS[tab],
        things=things,
        names=names,
        customers=customers,
        now=context.clock(),
    )


@router.get(PATH + "/{kind}/new")
async def show_new(request: Request, context: Context, who: Router, kind: RoutedName) -> HTMLResponse:
    """Show the form for something new."""
    own = forms.KINDS[kind]
    return await _form(request, context, who, own, forms.empty_values(own, viewer_of(request, context, who).zone))


@router.get(PATH + "/{kind}/{row_id}")
async def show_thing(request: Request, context: Context, who: Router, kind: RoutedName, row_id: RowId) -> HTMLResponse:
    """Show the form of one thing, with what it does now."""
    own = forms.KINDS[kind]
    async with context.database.read() as tx:
        thing = await find_thing(tx, kind, row_id)
        effect = await effect_of(tx, context, thing)
        mail = await alert_mail_of(tx, context, thing, effect)
    return await _form(request, context, who, own, forms.values_of(own, thing), thing=thing, effect=effect, mail=mail)


@router.post(PATH + "/{kind}")
async def post_new(request: Request, context: Context, who: Router, kind: RoutedName, form: PostedForm) -> Response:
    """Show what something new would do, or store it."""
    return await _change(request, context, who, forms.KINDS[kind], None, form)


@router.post(PATH + "/{kind}/{row_id}")
async def post_thing(
    request: Request, context: Context, who: Router, kind: RoutedName, row_id: RowId, form: PostedForm
) -> Response:
    """Show what a change would do, store it, or delete the thing, which takes a second step."""
    own, by = forms.KINDS[kind], who.editor(context)
    if text_of(form, "step") not in ("delete", "delete-now"):
        return await _change(request, context, who, own, row_id, form)
    if text_of(form, "step") == "delete":
        async with context.database.read() as tx:
            thing = await find_thing(tx, kind, row_id)
        return await _form(request, context, who, own, forms.values_of(own, thing), thing=thing, is_deleting=True)
    try:
        async with context.database.write() as tx:
            await delete_thing(tx, kind, row_id, by, _versions(form))
    except StaleEdit:
        raise
    except TocsinError as refused:
        async with context.database.read() as tx:
            thing = await find_thing(tx, kind, row_id)
        return await _form(request, context, who, own, forms.values_of(own, thing), thing=thing, refused=refused)
    return _done(request, kind, form, by)


@router.post(PATH + "/{kind}/{row_id}/move")
async def post_move(
    request: Request,
    context: Context,
    who: Router,
    kind: Literal["routes", "rules"],
    row_id: RowId,
    form: PostedForm,
) -> Response:
    """Try a route or rule one place earlier or later."""
    by = who.editor(context)
    async with context.database.write() as tx:
        await move_thing(tx, kind, row_id, by, _versions(form), is_up=text_of(form, "direction") == "up")
    return _done(request, kind, form, by)


@router.post(PATH + "/recipients/{row_id}/test")
async def post_test(
    request: Request, context: Context, who: Router, row_id: RowId, _form_sent: PostedForm
) -> HTMLResponse:
    """Send a test message by each way to a recipient, and show how each answered."""
    async with context.database.read() as tx:
        recipient = cast(Recipient, await find_thing(tx, "recipients", row_id))
    tested = []
    for to in recipient.transports:
        try:
            test, seconds = await send_trial(context, to, recipient.id)
            tested.append((to, test.outcome, f"{test.code or ''} {test.text or ''}".strip(), seconds))
        except TocsinError as refused:
            tested.append((to, "refused", refused.detail, 0.0))
    own = forms.KINDS["recipients"]
    return await _form(request, context, who, own, forms.values_of(own, recipient), thing=recipient, tested=tested)


@router.get(PATH + "/routes/{row_id}/shown")
async def show_alert_mail(context: Context, _who: Router, row_id: RowId) -> HTMLResponse:
    """Return the mail that a route would send about its newest alert or an example, for the frame that shows it: nothing in it runs or is loaded."""
    async with context.database.read() as tx:
        route = await find_thing(tx, "routes", row_id)
        mail = await alert_mail_of(tx, context, route, await effect_of(tx, context, route))
    if mail is None:
        raise NotFound("there is no such route")
    return HTMLResponse(
        mail.mail.html, headers={"Content-Security-Policy": _FRAME_POLICY, "X-Frame-Options": "SAMEORIGIN"}
    )


@router.get(PATH + "/summaries/{row_id}/shown")
async def show_summary(context: Context, _who: Router, row_id: RowId) -> HTMLResponse:
    """Return the summary as it would be sent now, for the frame that shows it: nothing in it runs or is loaded."""
    now = context.clock()
    async with context.database.read() as tx:
        schedule = await SUMMARY_SCHEDULES.get(tx, row_id)
        start = whole_period_until(schedule.recurrence, now)
        view = await read_summary_view(tx, schedule, number=schedule.last_number + 1, start=start, end=now)
    mail = summary_mail.render(view, base_url=context.settings.public_url)
    return HTMLResponse(mail.html, headers={"Content-Security-Policy": _FRAME_POLICY, "X-Frame-Options": "SAMEORIGIN"})


async def _change(
    request: Request, context: AppContext, who: SignedIn, kind: forms.RoutedKind, row_id: str | None, form: FormData
) -> Response:
    by, zone = who.editor(context), viewer_of(request, context, who).zone
    values = forms.read_values(kind, form, zone)
    thing: Thing | None = None
    if row_id is not None:
        async with context.database.read() as tx:
            thing = await find_thing(tx, kind.name, row_id)
    again = partial(_form, request, context, who, kind, values, thing=thing, version=_version(form))
    rows: list[AddressRow] = []
    checked: BaseModel | list[forms.FieldError]
    if kind.name == "recipients":
        rows = read_rows(form)
        values["transports"] = [row.to_values() for row in rows]
        if text_of(form, "step") == "fields" or any(row.lacks_fields for row in rows):
            return await again(rows=rows)
        before = thing.transports if isinstance(thing, Recipient) else ()
        checked = checked_recipient(values, rows, context, before)
    else:
        checked = forms.checked(kind.create, values)
    if isinstance(checked, list):
        return await again(rows=rows, errors=checked)
    wanted = made(context, kind.name, checked, thing, by)
    if text_of(form, "step") != "save":
        async with context.database.read() as tx:
            effect = await effect_of(tx, context, wanted)
        return await again(rows=rows, effect=effect, is_checked=True)
    try:
        async with context.database.write() as tx:
            if thing is None:
                await create_thing(tx, wanted, by)
            else:
                await update_thing(tx, wanted, by, _versions(form))
    except TocsinError as refused:
        return await again(rows=rows, refused=refused, status=refused.status)
    return _done(request, kind.name, form, by)


async def _form(
    request: Request,
    context: AppContext,
    who: SignedIn,
    kind: forms.RoutedKind,
    values: forms.Values,
    *,
    thing: Thing | None = None,
    rows: Sequence[AddressRow] | None = None,
    effect: Effect | None = None,
    mail: PreviewedMail | None = None,
    errors: Sequence[forms.FieldError] = (),
    refused: TocsinError | None = None,
    tested: Sequence[Any] = (),
    is_checked: bool = False,
    is_deleting: bool = False,
    version: str = "",
    status: int | None = None,
) -> HTMLResponse:
    zone = viewer_of(request, context, who).zone
    async with context.database.read() as tx:
        recipients = await all_recipients(tx)
        customers = await _customers(tx)
    transports = values.pop("transports", [])  # they may hold a secret that was just entered
    own_rows = stored_rows(transports) if rows is None else rows
    places = [(row_place(error, own_rows), error) for error in errors]
    return render(
        request,
        context,
        who,
        "routing_form.html",
        rows=[*own_rows, AddressRow("smtp")],
        row_errors={place: [error for at, error in places if at == place] for place, _ in places if place},
        other_errors=[error for place, error in places if place is None],
        transports=[*MAIL_TRANSPORTS, *TRANSPORT_FIELDS],
        address_hint=address_hint,
        status=status or (422 if errors else 200),
        place="routing",
        own=kind,
        values=values,
        thing=thing,
        row_version=version or ("" if thing is None else str(thing.version)),
        effect=effect,
        mail=mail,
        has_lost_secret=rows is not None and any(row.has_new_secret for row in rows),
        refused=refused,
        tested=tested,
        is_checked=is_checked,
        is_deleting=is_deleting,
        recipients=recipients,
        customers=customers,
        fields=FIELDS,
        comparisons=[one.value for one in Comparison],
        alert_kinds=[one.value for one in AlertKind],
        shown=forms.minutes_of,
        local=lambda value: forms.local_text(value, zone),
    )


async def _customers(tx: ReadTx) -> dict[str, str]:
    page = await CUSTOMERS.page(tx, [], Window(_CUSTOMERS_MOST))
    return {one.id: one.name for one in sorted(page.items, key=lambda one: one.name.casefold())}


def _done(request: Request, kind: str, form: FormData, by: Editor) -> Response:
    csrf = str(form.get("csrf") or "")
    return back_to(request, FormData([("back", f"{PATH}?tab={kind}"), ("csrf", csrf)]), "saved", 1, by)


def _version(form: FormData) -> str:
    text = text_of(form, "version")
    return text if text.isascii() and text.isdecimal() else ""


def _versions(form: FormData) -> frozenset[int]:
    """Return the version that the form rests on; none where it has none, which matches nothing that is stored."""
    text = _version(form)
    return frozenset([int(text[:9])]) if text else frozenset()
