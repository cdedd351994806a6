"""/service/keys: every key with what it permits and when it was last used; made, rotated and ended by owners, each secret shown once."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from pydantic import BaseModel
from starlette.datastructures import FormData

from app.admin import keys as admin_keys
from app.context import AppContext
from app.core.errors import BadInput, Conflict, TocsinError
from app.core.unseen import plain_name
from app.domain.key import KeyForm, KeyKind
from app.domain.person import Role
from app.http.api.dependencies import Authenticator, Context
from app.http.pages.connect import customers_of
from app.http.pages.done import saved_address
from app.http.pages.frame import render
from app.http.pages.kept_forms import forget_form, kept_form, need_fresh_and_keep
from app.http.pages.people import customers_in, role_in
from app.http.pages.session import PostedForm, SignedIn, need_everything, need_fresh, text_of
from app.store.keys import page_keys
from app.store.repository import Window

router = APIRouter(include_in_schema=False)
PAGE = "/service/keys"
_SHOWN, _NAME_MOST = 50, 200
_FIELDS = ("name", "role", "sees", "customer", "lasts")
# Keys of agents are made on the page Connect, those of relays by a set-up code; the kinds admin and viewer are roles of access.
MADE_HERE = (KeyKind.ENROL, KeyKind.ACCESS, KeyKind.MONITOR)
LASTS_DAYS = (30, 90, 365)
OVERLAP_HOURS = (0, 1, 24, 168)
Administrator = Annotated[SignedIn, Depends(need_everything(Role.ADMINISTRATOR))]
# As in the API: an administrator who made a key of kind admin would have the rights of an owner.
Owner = Annotated[SignedIn, Depends(need_everything(Role.OWNER))]


class KeysAsked(BaseModel):
    """What the address of the page asks for."""

    kind: Annotated[str, Query(max_length=10)] = ""
    revoked: Annotated[str, Query(max_length=1)] = ""
    after: Annotated[str, Query(max_length=40)] = ""
    new: Annotated[str, Query(max_length=10)] = ""


@dataclass(frozen=True, slots=True)
class NewSecret:
    """The secret of a key that was just made or rotated. `previous_until`: until when the one before it works; None: there was none."""

    name: str
    clear: str
    previous_until: datetime | None = None


@router.get(PAGE)
async def show_keys(
    request: Request, context: Context, who: Administrator, asked: Annotated[KeysAsked, Query()]
) -> HTMLResponse:
    """Show the keys that are in force, or those that were ended; with `new`, the form for a key of this kind."""
    if _kind_to_make(asked.new) is not None and who.role.covers(Role.OWNER):
        need_fresh(who, context, f"{PAGE}?new={asked.new}")  # before the form is filled in: its fields would be lost
    kept = kept_form(request, context, who)
    page = await _page(request, context, who, asked, sent=kept, is_kept=kept is not None)
    if kept is not None:
        forget_form(page, context)
    return page


@router.post(PAGE)
async def post_key(
    request: Request, context: Context, who: Owner, authenticator: Authenticator, form: PostedForm
) -> HTMLResponse:
    """Make a key, and show it once."""
    kind = text_of(form, "kind")
    page = f"{PAGE}?new={kind[:10]}" if _kind_to_make(kind) is not None else PAGE
    need_fresh_and_keep(who, context, page, form, _FIELDS)
    by = who.editor(context)
    try:
        wanted = _wanted(form, by.at)
        async with context.database.write() as tx:
            key, clear = await admin_keys.create_key(tx, context.secret, wanted, by)
            tx.after_commit(authenticator.forget)
    except (BadInput, Conflict) as refused:
        return await _page(request, context, who, KeysAsked(new=kind[:10]), refused=refused, sent=form)
    return await _page(request, context, who, KeysAsked(), made=NewSecret(key.name, clear))


@router.post(PAGE + "/{key_id}/rotate")
async def post_rotate(
    request: Request, context: Context, who: Owner, authenticator: Authenticator, key_id: str, form: PostedForm
) -> HTMLResponse:
    """Replace the secret of a key, and show the new one once; the one before it works for the chosen hours more."""
    need_fresh(who, context, PAGE)
    try:
        hours = next((hours for hours in OVERLAP_HOURS if str(hours) == text_of(form, "hours")), None)
        looks = next((looks for looks in KeyForm if looks.value == text_of(form, "form")), KeyForm.TOCSIN)
        if hours is None:
            raise BadInput("choose for how long the previous secret works", field="hours")  # noqa: TRY301
        async with context.database.write() as tx:
            key, clear = await admin_keys.rotate_key(
                tx, context.secret, key_id, timedelta(hours=hours), looks, who.editor(context)
            )
            tx.after_commit(authenticator.forget)
    except (BadInput, Conflict) as refused:
        return await _page(request, context, who, KeysAsked(), refused=refused)
    return await _page(request, context, who, KeysAsked(), made=NewSecret(key.name, clear, key.previous_until))


@router.post(PAGE + "/{key_id}/revoke")
async def post_revoke(
    request: Request, context: Context, who: Owner, authenticator: Authenticator, key_id: str, _form: PostedForm
) -> Response:
    """End a key: at once here, within five seconds on other hosts."""
    need_fresh(who, context, PAGE)
    by = who.editor(context)
    try:
        async with context.database.write() as tx:
            await admin_keys.revoke_key(tx, key_id, by)
            tx.after_commit(authenticator.forget)
    except Conflict as refused:
        return await _page(request, context, who, KeysAsked(), refused=refused)
    return RedirectResponse(saved_address(PAGE, who.csrf, by.at), 303)


def _kind_to_make(text: str) -> KeyKind | None:
    return next((kind for kind in MADE_HERE if kind.value == text), None)


def _wanted(form: FormData, now: datetime) -> admin_keys.NewKey:
    """Return the key that a form describes. Raises BadInput."""
    name = plain_name(text_of(form, "name"))[:_NAME_MOST]
    kind = _kind_to_make(text_of(form, "kind"))
    if not name or kind is None:
        raise BadInput("enter a name", field="name")
    lasts = text_of(form, "lasts")
    days = next((days for days in LASTS_DAYS if str(days) == lasts), None)
    if days is None and lasts != "always":
        raise BadInput(
            "choose how long the key works", field="lasts"
        )  # a wrong value must not make a key that never ends
    role, customer_id, customers = None, None, None
    if kind is KeyKind.ACCESS:
        role, customers = role_in(form), customers_in(form)
    else:
        customer_id = text_of(form, "customer")[:40] or None
    return admin_keys.NewKey(
        kind=kind,
        name=name,
        customer_id=customer_id,
        role=role,
        customers=customers,
        expires_at=None if days is None else now + timedelta(days=days),
    )


async def _page(
    request: Request,
    context: AppContext,
    who: SignedIn,
    asked: KeysAsked,
    *,
    refused: TocsinError | None = None,
    made: NewSecret | None = None,
    sent: FormData | None = None,
    is_kept: bool = False,
) -> HTMLResponse:
    kind = next((kind for kind in KeyKind if kind.value == asked.kind), None)
    async with context.database.read() as tx:
        page = await page_keys(
            tx, Window(_SHOWN, after=asked.after or None), kind=kind, is_revoked=asked.revoked == "1"
        )
        customers = await customers_of(tx, who)
    return render(
        request,
        context,
        who,
        "service_keys.html",
        status=200 if refused is None else refused.status,
        place="service",
        asked=asked,
        keys=page.items,
        next=page.next,
        customers=customers,
        names={one.id: one.name for one in customers},
        kinds=[kind.value for kind in KeyKind],
        made_here=[kind.value for kind in MADE_HERE],
        new=_kind_to_make(asked.new),
        roles=tuple(Role),
        lasts_days=LASTS_DAYS,
        overlaps=OVERLAP_HOURS,
        sent=sent or {},
        kept=is_kept,
        sent_customers=[] if sent is None else sent.getlist("customer"),
        refused=refused,
        made=made,
        may_change=who.role.covers(Role.OWNER),
    )
