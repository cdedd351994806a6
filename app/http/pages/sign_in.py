"""/sign-in, /prove and /link/...: how somebody comes in, and shows again who they are.

A link changes nothing when it is opened, only by its button: programs that scan mails and chats open links.
"""

import hmac
import secrets
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from starlette.datastructures import FormData

from app.admin.provider_sign_in import is_linked
from app.admin.sessions import Browser
from app.admin.sign_in import (
    PasswordTry,
    prove_by_password,
    read_link,
    sign_in_by_link,
    sign_in_by_password,
)
from app.context import AppContext
from app.core.errors import BadInput, Conflict, NotAllowed, NotFound, TocsinError, TooManyTries
from app.core.networks import is_in, read_networks
from app.core.passwords import Passwords
from app.domain.one_time_link import PATH as LINK
from app.domain.one_time_link import LinkPurpose
from app.http.api.dependencies import Context
from app.http.auth import address_of
from app.http.pages.frame import render
from app.http.pages.session import (
    PROVE,
    SIGN_IN,
    PostedForm,
    SignedInPerson,
    check_token,
    cookie_prefix,
    end_earlier,
    find_signed_in,
    keep_session,
    read_form,
    safe_next,
    set_cookie,
    text_of,
    token_for_forms,
)
from app.store.people import external_id_of, proofs_of

router = APIRouter(include_in_schema=False)
_FORWARDED = ("forwarded", "x-forwarded-for", "x-real-ip")
_LOOPBACK = read_networks("127.0.0.0/8, ::1")
_FORM_SECONDS, _BROWSER_SECONDS = 24 * 3600, 400 * 24 * 3600
Token = Annotated[str, Path(max_length=1000)]
Next = Annotated[str, Query(alias="next", max_length=2000)]


@router.get(SIGN_IN)
async def show_sign_in(request: Request, context: Context, return_to: Next = "/") -> Response:
    """Show how to sign in; somebody who is signed in goes on at once."""
    if await find_signed_in(request) is not None:
        return RedirectResponse(safe_next(return_to), 303)
    return sign_in_page(request, context, return_to)


@router.post(f"{SIGN_IN}/password")
async def post_sign_in(request: Request, context: Context, return_to: Next = "/") -> Response:
    """Sign in with address, password and code."""
    form = await _form_of_nobody(request, context)
    tried = _try_in(request, context, form, text_of(form, "email"))
    try:
        person, session = await sign_in_by_password(context, _passwords(request), tried, browser_of(request))
    except (NotAllowed, TooManyTries) as refused:
        return sign_in_page(request, context, return_to, refused, tried.email)
    await end_earlier(request)
    answer = RedirectResponse(safe_next(return_to), 303)
    keep_session(answer, context, session)
    _remember_browser(request, answer, context, person.email)
    return answer


@router.get(PROVE)
async def show_prove(request: Request, context: Context, who: SignedInPerson, return_to: Next = "/") -> HTMLResponse:
    """Ask somebody who is signed in to show again who they are."""
    return await prove_page(request, context, who, return_to)


@router.post(PROVE)
async def post_prove(
    request: Request, context: Context, who: SignedInPerson, form: PostedForm, return_to: Next = "/"
) -> Response:
    """Check the password again; the session gets a new token."""
    tried = _try_in(request, context, form, who.person.email)
    try:
        session = await prove_by_password(context, _passwords(request), tried, browser_of(request), who.session)
    except (NotAllowed, TooManyTries) as refused:
        return await prove_page(request, context, who, return_to, refused)
    answer = RedirectResponse(safe_next(return_to), 303)
    keep_session(answer, context, session)
    return answer


@router.get(LINK + "{token}")
async def show_link(token: Token, request: Request, context: Context) -> Response:
    """Show whom a link signs in, and a button."""
    return await _link_page(request, context, token)


@router.post(LINK + "{token}")
async def use_link(token: Token, request: Request, context: Context) -> Response:
    """Use a link: sign its person in, who then chooses a password."""
    form = await _form_of_nobody(request, context)
    try:
        async with context.database.read() as tx:  # a link that is none must not keep those waiting who write
            offer = await read_link(tx, context, token)
        if offer.purpose is LinkPurpose.FIRST:
            _need_this_host(request)
        async with context.database.write() as tx:
            name, email = text_of(form, "name"), text_of(form, "email")
            person, session = await sign_in_by_link(
                tx, context, token, browser_of(request), first_name=name, first_email=email
            )
    except (BadInput, Conflict, NotFound) as refused:
        return await _link_page(request, context, token, refused)
    await end_earlier(request)
    answer = RedirectResponse("/account?done=link", 303)
    keep_session(answer, context, session)
    _remember_browser(request, answer, context, person.email)
    return answer


def browser_of(request: Request) -> Browser:
    """Return where a request came from."""
    return Browser(address_of(request.scope), request.headers.get("user-agent"))


def sign_in_page(
    request: Request, context: AppContext, return_to: str, refused: TocsinError | None = None, email: str = ""
) -> HTMLResponse:
    """Return the page that asks who somebody is."""
    kept, csrf = _form_token(request, context)
    answer = render(
        request,
        context,
        None,
        "sign_in.html",
        status=200 if refused is None else refused.status,
        return_to=safe_next(return_to),
        refused=refused,
        email=email,
        csrf=csrf,
        provider=context.settings.oidc,
    )
    set_cookie(answer, context, _form_cookie(context), kept, _FORM_SECONDS)
    return _with_wait(answer, refused)


async def prove_page(
    request: Request, context: AppContext, who: SignedInPerson, return_to: str, refused: TocsinError | None = None
) -> HTMLResponse:
    """Return the page that asks somebody who is signed in who they are."""
    async with context.database.read() as tx:
        linked = is_linked(await external_id_of(tx, who.id))
        proofs = await proofs_of(tx, who.id)
    answer = render(
        request,
        context,
        who,
        "prove.html",
        status=200 if refused is None else refused.status,
        return_to=safe_next(return_to),
        refused=refused,
        proofs=proofs,
        provider=context.settings.oidc if linked else None,
    )
    return _with_wait(answer, refused)


async def _link_page(
    request: Request, context: AppContext, token: str, refused: TocsinError | None = None
) -> HTMLResponse:
    offer = None
    try:
        async with context.database.read() as tx:
            offer = await read_link(tx, context, token)
        if offer.purpose is LinkPurpose.FIRST:
            _need_this_host(request)
    except NotFound as over:
        refused, offer = over, None
    kept, csrf = _form_token(request, context)
    answer = render(
        request,
        context,
        None,
        "link.html",
        status=200 if refused is None else refused.status,
        offer=offer,
        whom=None if offer is None else offer.person or offer.new,
        email=context.settings.admin_email or "",
        refused=refused,
        csrf=csrf,
    )
    set_cookie(answer, context, _form_cookie(context), kept, _FORM_SECONDS)
    return answer


def _with_wait(answer: HTMLResponse, refused: TocsinError | None) -> HTMLResponse:
    if isinstance(refused, TooManyTries):
        answer.headers["Retry-After"] = str(refused.retry_after)
    return answer


def _need_this_host(request: Request) -> None:
    """Raise NotFound unless the request came from this host, by no proxy."""
    address, server = address_of(request.scope) or "", request.scope.get("server")
    is_here = is_in(address, _LOOPBACK) or (server is not None and address == server[0])
    if not is_here or any(name in request.headers for name in _FORWARDED):
        raise NotFound("the first link works only from the host of the service", code="not_this_host")


async def _form_of_nobody(request: Request, context: AppContext) -> FormData:
    """Return the form of somebody who is not signed in, after checking that a page of ours sent it."""
    form = await read_form(request)
    check_token(request, form, token_for_forms(context, request.cookies.get(_form_cookie(context), "")))
    return form


def _form_token(request: Request, context: AppContext) -> tuple[str, str]:
    """Return the token of a form that nobody is signed in for: its half for a cookie of this browser, and the half for the form."""
    kept = request.cookies.get(_form_cookie(context)) or secrets.token_urlsafe(24)
    return kept, token_for_forms(context, kept)


def _form_cookie(context: AppContext) -> str:
    return f"{cookie_prefix(context)}tocsin-form"


def _browser_cookie(context: AppContext) -> str:
    return f"{cookie_prefix(context)}tocsin-browser"


def _try_in(request: Request, context: AppContext, form: FormData, email: str) -> PasswordTry:
    known = _known_browser(request, context, email)
    return PasswordTry(email, text_of(form, "password"), text_of(form, "code"), known)


def _known_browser(request: Request, context: AppContext, email: str) -> str | None:
    """Return the mark of a browser that has signed in under this name before; None for others, and for a forged mark."""
    mark, _, signature = request.cookies.get(_browser_cookie(context), "").partition(".")
    is_ours = hmac.compare_digest(signature.encode(), _sign_browser(context, mark, email).encode())
    return mark if mark and is_ours else None


def _remember_browser(request: Request, response: Response, context: AppContext, email: str) -> None:
    mark = _known_browser(request, context, email) or secrets.token_urlsafe(16)
    value = f"{mark}.{_sign_browser(context, mark, email)}"
    set_cookie(response, context, _browser_cookie(context), value, _BROWSER_SECONDS)


def _sign_browser(context: AppContext, mark: str, email: str) -> str:
    signed = f"{mark}\n{email.strip().lower()}".encode("utf-8", "surrogatepass")
    return hmac.digest(context.secret.derive("known browser"), signed, "sha256").hex()


def _passwords(request: Request) -> Passwords:
    passwords: Passwords = request.app.state.passwords
    return passwords
