"""/service/links: secret addresses of walls, badges and calendars, made and revoked. An address is shown once."""

from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from starlette.datastructures import FormData

from app.admin import share_links as admin_share_links
from app.context import AppContext
from app.core.errors import BadInput, TocsinError
from app.core.unseen import plain_name
from app.domain.person import Role
from app.domain.share_link import SharedPart, ShareKind
from app.http.api.dependencies import Context
from app.http.api.share_links import PATHS
from app.http.pages.connect import customers_of
from app.http.pages.done import saved_address
from app.http.pages.frame import render
from app.http.pages.kept_forms import forget_form, kept_form, need_fresh_and_keep
from app.http.pages.session import PostedForm, SignedIn, need_everything, text_of
from app.store.keys import page_share_links
from app.store.repository import Window

router = APIRouter(include_in_schema=False)
PAGE = "/service/links"
_SHOWN = 50
_NAME_MOST = 200
_FIELDS = ("name", "kind", "sees", "customer", "shows", "lasts")
_LASTS = {"30": timedelta(days=30), "365": timedelta(days=365), "": None}
Administrator = Annotated[SignedIn, Depends(need_everything(Role.ADMINISTRATOR))]


@router.get(PAGE)
async def show_links(
    request: Request, context: Context, who: Administrator, after: Annotated[str, Query(max_length=40)] = ""
) -> HTMLResponse:
    """Show the links, the newest first, and a form for a new one."""
    kept = kept_form(request, context, who)
    page = await _page(request, context, who, after=after, kept=kept)
    if kept is not None:
        forget_form(page, context)
    return page


@router.post(PAGE)
async def post_link(request: Request, context: Context, who: Administrator, form: PostedForm) -> HTMLResponse:
    """Make a link, and show its address once."""
    need_fresh_and_keep(who, context, PAGE, form, _FIELDS)
    by = who.editor(context)
    try:
        wanted = _wanted_in(form, context)
        async with context.database.write() as tx:
            link, token = await admin_share_links.create_share_link(tx, context.secret, wanted, by)
    except BadInput as refused:
        return await _page(request, context, who, refused=refused)
    return await _page(
        request, context, who, made=f"{context.settings.public_url}{PATHS[link.kind].format(token=token)}"
    )


@router.post(PAGE + "/{link_id}/revoke")
async def post_revoke(context: Context, who: Administrator, link_id: str, _form: PostedForm) -> Response:
    """Revoke a link: from now on it shows nothing."""
    by = who.editor(context)
    async with context.database.write() as tx:
        await admin_share_links.revoke(tx, link_id, by)
    return RedirectResponse(saved_address(PAGE, who.csrf, by.at), 303)


def _wanted_in(form: FormData, context: AppContext) -> admin_share_links.NewShareLink:
    """Return the link that a form asks for. Raises BadInput."""
    name, lasts = plain_name(text_of(form, "name"))[:_NAME_MOST], _LASTS.get(text_of(form, "lasts"))
    if not name:
        raise BadInput("enter a name", field="name")
    sees = text_of(form, "sees")
    if sees not in ("all", "chosen"):  # whoever leaves it out must not publish every customer
        raise BadInput("choose at least one customer", field="customer_ids")
    chosen = tuple(str(value)[:40] for value in form.getlist("customer"))
    if sees == "chosen" and not chosen:
        raise BadInput("choose at least one customer", field="customer_ids")
    shown = {str(value) for value in form.getlist("shows")}
    kind = next((kind for kind in ShareKind if kind.value == text_of(form, "kind")), ShareKind.WALL)
    return admin_share_links.NewShareLink(
        kind=kind,
        name=name,
        customer_ids=None if sees == "all" else chosen,
        shows=tuple(part for part in SharedPart if part.value in shown),
        expires_at=None if lasts is None else context.clock() + lasts,
    )


async def _page(
    request: Request,
    context: AppContext,
    who: SignedIn,
    *,
    after: str = "",
    refused: TocsinError | None = None,
    made: str | None = None,
    kept: FormData | None = None,
) -> HTMLResponse:
    async with context.database.read() as tx:
        page = await page_share_links(tx, Window(_SHOWN, after=after or None))
        customers = await customers_of(tx, who)
    return render(
        request,
        context,
        who,
        "service_links.html",
        status=200 if refused is None else refused.status,
        place="service",
        links=page.items,
        next=page.next,
        asked_after=after,
        customers=customers,
        names={one.id: one.name for one in customers},
        shared_parts=[part.value for part in SharedPart],
        now=context.clock(),
        refused=refused,
        made=made,
        kept=kept,
        kept_customers=[] if kept is None else kept.getlist("customer"),
        kept_shows=["counts"] if kept is None else kept.getlist("shows"),
    )
