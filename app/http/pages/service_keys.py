"""/service/keys: every key with what it permits and when it was last used; made, shown once, and ended by owners."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from pydantic import BaseModel

from app.admin import keys as admin_keys
from app.context import AppContext
from app.core.errors import BadInput, Conflict, TocsinError
from app.core.unseen import plain_name
from app.domain.key import KeyKind
from app.domain.person import Role
from app.http.api.dependencies import Authenticator, Context
from app.http.pages.connect import customers_of
from app.http.pages.done import saved_address
from app.http.pages.frame import render
from app.http.pages.session import PostedForm, SignedIn, need_everything, need_fresh, text_of
from app.store.keys import page_keys
from app.store.repository import Window

router = APIRouter(include_in_schema=False)
PAGE = "/service/keys"
_SHOWN, _NAME_MOST = 50, 200
# Keys of agents are made on the page Connect, those of relays by a set-up code.
MADE_HERE = (KeyKind.ENROL, KeyKind.VIEWER, KeyKind.MONITOR, KeyKind.ADMIN)
_OF_CUSTOMER = (KeyKind.ENROL, KeyKind.MONITOR)
Administrator = Annotated[SignedIn, Depends(need_everything(Role.ADMINISTRATOR))]
# As in the API: an administrator who made a key of kind admin would have the rights of an owner.
Owner = Annotated[SignedIn, Depends(need_everything(Role.OWNER))]


class KeysAsked(BaseModel):
    """What the address of the page asks for."""

    kind: Annotated[str, Query(max_length=10)] = ""
    revoked: Annotated[str, Query(max_length=1)] = ""
    after: Annotated[str, Query(max_length=40)] = ""


@router.get(PAGE)
async def show_keys(
    request: Request, context: Context, who: Administrator, asked: Annotated[KeysAsked, Query()]
) -> HTMLResponse:
    """Show the keys that are in force, or those that were ended."""
    return await _page(request, context, who, asked)


@router.post(PAGE)
async def post_key(
    request: Request, context: Context, who: Owner, authenticator: Authenticator, form: PostedForm
) -> HTMLResponse:
    """Make a key, and show it once."""
    need_fresh(who, context, PAGE)
    name = plain_name(text_of(form, "name"))[:_NAME_MOST]
    kind = next((kind for kind in MADE_HERE if kind.value == text_of(form, "kind")), None)
    customer_id = text_of(form, "customer")[:40] or None
    if not name or kind is None:
        return await _page(request, context, who, KeysAsked(), refused=BadInput("enter a name", field="name"))
    try:
        wanted = admin_keys.NewKey(kind=kind, name=name, customer_id=customer_id if kind in _OF_CUSTOMER else None)
        async with context.database.write() as tx:
            _, clear = await admin_keys.create_key(tx, context.secret, wanted, who.editor(context))
            tx.after_commit(authenticator.forget)
    except (BadInput, Conflict) as refused:
        return await _page(request, context, who, KeysAsked(), refused=refused)
    return await _page(request, context, who, KeysAsked(), made=clear)


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


async def _page(
    request: Request,
    context: AppContext,
    who: SignedIn,
    asked: KeysAsked,
    *,
    refused: TocsinError | None = None,
    made: str | None = None,
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
        refused=refused,
        made=made,
        may_change=who.role.covers(Role.OWNER),
    )
