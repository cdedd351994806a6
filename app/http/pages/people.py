"""/people: owners decide who signs in, as what, and for which customers; they make links for who is new or locked out."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from starlette.datastructures import FormData

from app.admin.people import NewPerson, add_person, change_person, end_sessions, make_link
from app.admin.proofs import end_codes
from app.admin.provider_sign_in import allow_link, end_link, is_linked
from app.core.errors import BadInput, Conflict, TocsinError
from app.domain.one_time_link import PATH as LINK
from app.domain.one_time_link import LinkPurpose
from app.domain.person import Person, Role
from app.http.api.dependencies import Context
from app.http.pages.frame import render
from app.http.pages.kept_forms import forget_form, kept_form, need_fresh_and_keep
from app.http.pages.session import PostedForm, SignedIn, need_fresh, need_role, text_of
from app.store.customers import page_customers
from app.store.people import PEOPLE, external_id_of, list_people, proofs_of
from app.store.repository import Window

router = APIRouter(include_in_schema=False)
PAGE = "/people"
_CUSTOMERS = 1_000
Owner = Annotated[SignedIn, Depends(need_role(Role.OWNER))]
_FIELDS = ("name", "email", "role", "sees", "customer", "disabled")
Done = Annotated[str, Query(max_length=20)]


@router.get(PAGE)
async def show_people(
    request: Request, context: Context, who: Owner, person: str = "", news: Done = ""
) -> HTMLResponse:
    """Show everybody; with `person`, what can be changed of one."""
    kept = kept_form(request, context, who)
    page = await _page(request, context, who, chosen=person, news=news, kept=kept)
    if kept is not None:
        forget_form(page, context)
    return page


@router.post(PAGE + "/new")
async def post_person(request: Request, context: Context, who: Owner, form: PostedForm) -> HTMLResponse:
    """Add a person, and show the link that invites them, once."""
    need_fresh_and_keep(who, context, PAGE, form, _FIELDS)
    by = who.editor(context)
    try:
        wanted = NewPerson(text_of(form, "name"), text_of(form, "email"), role_in(form), customers_in(form))
        async with context.database.write() as tx:
            added = await add_person(tx, wanted, by)
            token = await make_link(tx, context.secret, LinkPurpose.INVITE, added.id, by)
    except (BadInput, Conflict) as refused:
        return await _page(request, context, who, refused=refused)
    return await _page(request, context, who, chosen=added.id, link=f"{context.settings.public_url}{LINK}{token}")


@router.post(PAGE + "/{person_id}")
async def post_change(person_id: str, request: Request, context: Context, who: Owner, form: PostedForm) -> Response:
    """Change what a person may do, or whether they may sign in."""
    need_fresh_and_keep(who, context, f"{PAGE}?person={person_id}", form, _FIELDS)
    try:
        async with context.database.write() as tx:
            await change_person(
                tx,
                person_id,
                who.editor(context),
                role=role_in(form),
                customers=customers_in(form),
                is_disabled=text_of(form, "disabled") == "1",
            )
    except (BadInput, Conflict) as refused:
        return await _page(request, context, who, chosen=person_id, refused=refused)
    return RedirectResponse(f"{PAGE}?person={person_id}&news=saved", 303)


@router.post(PAGE + "/{person_id}/link")
async def post_link(person_id: str, request: Request, context: Context, who: Owner, _form: PostedForm) -> HTMLResponse:
    """Make a link that signs in a person who is locked out, and show it, once."""
    need_fresh(who, context, f"{PAGE}?person={person_id}")
    try:
        async with context.database.write() as tx:
            token = await make_link(tx, context.secret, LinkPurpose.RESET, person_id, who.editor(context))
    except Conflict as refused:
        return await _page(request, context, who, chosen=person_id, refused=refused)
    return await _page(request, context, who, chosen=person_id, link=f"{context.settings.public_url}{LINK}{token}")


@router.post(PAGE + "/{person_id}/end")
async def post_end(person_id: str, context: Context, who: Owner, form: PostedForm) -> Response:
    """Sign a person out everywhere, or turn their one-time codes off."""
    need_fresh(who, context, f"{PAGE}?person={person_id}")
    async with context.database.write() as tx:
        if text_of(form, "what") == "codes":
            await end_codes(tx, await PEOPLE.get(tx, person_id), who.editor(context))
        else:
            await end_sessions(tx, person_id, who.editor(context))
    return RedirectResponse(f"{PAGE}?person={person_id}&news=saved", 303)


@router.post(PAGE + "/{person_id}/provider")
async def post_provider(person_id: str, context: Context, who: Owner, form: PostedForm) -> Response:
    """Let the next sign-in by the identity provider with this person's address be this person, or end that they are one."""
    need_fresh(who, context, f"{PAGE}?person={person_id}")
    async with context.database.write() as tx:
        act = allow_link if text_of(form, "what") == "allow" else end_link
        await act(tx, person_id, who.editor(context))
    return RedirectResponse(f"{PAGE}?person={person_id}&news=saved", 303)


async def _page(
    request: Request,
    context: Context,
    who: SignedIn,
    *,
    chosen: str = "",
    news: str = "",
    refused: TocsinError | None = None,
    link: str | None = None,
    kept: FormData | None = None,
) -> HTMLResponse:
    async with context.database.read() as tx:
        everybody = await list_people(tx)
        customers = (await page_customers(tx, Window(_CUSTOMERS))).items
        one: Person | None = next((person for person in everybody if person.id == chosen), None)
        external_id = None if one is None else await external_id_of(tx, one.id)
        has_codes = one is not None and (await proofs_of(tx, one.id)).codes_since is not None
    return render(
        request,
        context,
        who,
        "people.html",
        status=200 if refused is None else refused.status,
        place="service",
        everybody=everybody,
        names={customer.id: customer.name for customer in customers},
        roles=tuple(Role),
        one=one,
        has_codes=has_codes,
        provider=context.settings.oidc,
        external_id=external_id,
        is_linked=is_linked(external_id),
        news=news,
        refused=refused,
        link=link,
        kept=kept,
        kept_customers=None if kept is None or kept.get("sees") != "chosen" else kept.getlist("customer"),
    )


def role_in(form: FormData) -> Role:
    """Return the chosen role. Raises BadInput."""
    try:
        return Role(text_of(form, "role"))
    except ValueError as cause:
        raise BadInput("choose a role", field="role") from cause


def customers_in(form: FormData) -> tuple[str, ...] | None:
    """Return the chosen customers; None where every customer is meant, which a form must say. Raises BadInput."""
    sees = text_of(form, "sees")
    if sees == "all":
        return None
    if sees != "chosen":
        raise BadInput("choose which customers the person sees", field="customers")
    return tuple(str(value)[:40] for value in form.getlist("customer"))
