"""/sign-in, /sign-out and /link/...: how somebody comes in and leaves. A link changes nothing when it is opened, only by its button."""

import secrets
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from markupsafe import Markup, escape

from app.admin.sign_in import Browser, read_link, sign_in_by_link, sign_out
from app.context import AppContext
from app.core.errors import NotFound
from app.core.networks import is_in, read_networks
from app.domain.one_time_link import LinkPurpose
from app.http.api.dependencies import Context
from app.http.auth import address_of
from app.http.pages.session import (
    SIGN_IN,
    PostedForm,
    SignedInPerson,
    check_token,
    find_signed_in,
    forget_session,
    is_secure,
    keep_session,
    read_form,
    safe_next,
    set_cookie,
    token_for_forms,
)

router = APIRouter(include_in_schema=False)
LINK = "/link/"
_FORWARDED = ("forwarded", "x-forwarded-for", "x-real-ip")
_LOOPBACK = read_networks("127.0.0.0/8, ::1")
_FORM_SECONDS = 24 * 3600
Token = Annotated[str, Path(max_length=1000)]


@router.get(SIGN_IN)
async def show_sign_in(
    request: Request, goes_on: Annotated[str, Query(alias="next", max_length=2000)] = "/"
) -> Response:
    """Show how to sign in; somebody who is signed in goes on at once."""
    if await find_signed_in(request) is not None:
        return RedirectResponse(safe_next(goes_on), 303)
    return _page(
        "Sign in", Markup("<p>Ask an owner for a link, or make one: <code>tocsin people link E-MAIL</code>.</p>")
    )


@router.post("/sign-out")
async def post_sign_out(context: Context, who: SignedInPerson, _form: PostedForm) -> Response:
    """End this session."""
    async with context.database.write() as tx:
        await sign_out(tx, who.person, who.session.id, context.clock())
    answer = RedirectResponse(SIGN_IN, 303)
    forget_session(answer, context)
    return answer


@router.get(LINK + "{token}")
async def show_link(token: Token, request: Request, context: Context) -> Response:
    """Show whom a link signs in, and a button."""
    async with context.database.read() as tx:
        offer = await read_link(tx, context, token)
    if offer.purpose is LinkPurpose.FIRST:
        _need_this_host(request)
        email = context.settings.admin_email or ""
        fields = Markup(
            '<p>You become the first owner of this Tocsin.</p><p><label>Name <input name="name" required maxlength="200"></label></p>'
            '<p><label>E-mail <input name="email" type="email" required value="{}"></label></p>'
        ).format(email)
    else:
        whom = offer.person or offer.new
        name, address = (whom.name, whom.email) if whom is not None else ("", "")
        fields = Markup("<p>You sign in as <b>{}</b> ({}).</p>").format(name, address)
    answer = HTMLResponse()
    csrf = _form_token(request, answer, context)
    form = Markup('<form method="post"><input type="hidden" name="csrf" value="{}">{}<button>Sign in</button></form>')
    answer.body = answer.render(_html("Sign in", form.format(csrf, fields)))
    answer.headers["content-length"] = str(len(answer.body))
    return answer


@router.post(LINK + "{token}")
async def use_link(token: Token, request: Request, context: Context) -> Response:
    """Use a link: sign its person in."""
    form = await read_form(request)
    check_token(request, form, token_for_forms(context, request.cookies.get(_form_cookie(context), "")))
    async with context.database.write() as tx:
        offer = await read_link(tx, context, token)
        if offer.purpose is LinkPurpose.FIRST:
            _need_this_host(request)
        name, email = (str(form.get(field) or "") for field in ("name", "email"))
        _, session = await sign_in_by_link(tx, context, token, browser_of(request), first_name=name, first_email=email)
    answer = RedirectResponse("/", 303)
    keep_session(answer, context, session)
    return answer


def browser_of(request: Request) -> Browser:
    """Return where a request came from."""
    return Browser(address_of(request.scope), request.headers.get("user-agent"))


def _need_this_host(request: Request) -> None:
    """Raise NotFound unless the request came from this host, by no proxy."""
    address, server = address_of(request.scope) or "", request.scope.get("server")
    is_here = is_in(address, _LOOPBACK) or (server is not None and address == server[0])
    if not is_here or any(name in request.headers for name in _FORWARDED):
        raise NotFound(
            "the first link works on the host of the service only; there, "
            "`tocsin people add E-MAIL --role owner` prints a link that works everywhere"
        )


def _form_token(request: Request, response: Response, context: AppContext) -> str:
    """Return the token of a form that nobody is signed in for; its other half is a cookie of this browser."""
    kept = request.cookies.get(_form_cookie(context)) or secrets.token_urlsafe(24)
    set_cookie(response, context, _form_cookie(context), kept, _FORM_SECONDS)
    return token_for_forms(context, kept)


def _form_cookie(context: AppContext) -> str:
    return "__Host-tocsin-form" if is_secure(context) else "tocsin-form"


def _page(title: str, body: Markup, status: int = 200) -> HTMLResponse:
    return HTMLResponse(_html(title, body), status)


def _html(title: str, body: Markup) -> str:
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(title)} · Tocsin</title>'
        f"<body><h1>{escape(title)}</h1>{body}</body></html>"
    )
