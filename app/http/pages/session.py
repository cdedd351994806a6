"""Who is signed in: the cookie of a session, the dependencies of pages that need somebody, and the token that every change carries.

A page takes `who: SignedInPerson`; one that needs more than a reader takes `Depends(need_role(Role.OPERATOR))`. A POST takes
`form: PostedForm`, which checks the token: the page's form holds it as `csrf`, a request of htmx as the header `X-CSRF-Token`. No page
takes FastAPI's `Form()`: that reads a body before anybody is asked who sent it, however large it is.
"""

import asyncio
import contextlib
import hmac
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import quote, urlsplit

from fastapi import Depends, Request, Response
from starlette.datastructures import FormData
from starlette.exceptions import HTTPException

from app.admin.editing import Editor
from app.admin.sessions import hash_of_session, sign_out
from app.context import AppContext
from app.core.errors import NotFound, TocsinError
from app.core.log import log
from app.core.periodic import run_in_background
from app.domain.person import Person, Role
from app.domain.session import LONGEST, Session
from app.http.pages.live_state import streams_of
from app.intake.body import READ_TIMEOUT_S
from app.store.people import find_session, touch_sessions

SIGN_IN, PROVE = "/sign-in", "/prove"
FORM_LIMIT = 256 * 1024  # bytes
_TOUCH_S = 60.0
_TOKEN_LONGEST = 100
_NEXT_LONGEST = 2000


@dataclass(frozen=True, slots=True)
class SignedIn:
    """Somebody who is signed in, for one request. `csrf` goes into each form of the page."""

    person: Person
    session: Session
    language: str
    zone: str
    csrf: str
    has_namesake: bool = False

    @property
    def id(self) -> str:
        """The id of the person."""
        return self.person.id

    @property
    def name(self) -> str:
        """The name of the person."""
        return self.person.name

    @property
    def label(self) -> str:
        """The name as others read it; with the address where somebody else has the same name."""
        return self.person.label(has_namesake=self.has_namesake)

    @property
    def role(self) -> Role:
        """What the person may do."""
        return self.person.role

    @property
    def customers(self) -> tuple[str, ...] | None:
        """The customers that the person sees; None: every one."""
        return self.person.customers

    def sees(self, customer_id: str | None) -> bool:
        """Say whether the person may see what belongs to a customer."""
        return self.person.sees(customer_id)

    def editor(self, context: AppContext) -> Editor:
        """Return the person as the one who edits now."""
        return Editor(self.label, context.clock(), context.wakeups.wake, (), self.person.id)


class SessionUse:
    """Notes which sessions were used, and writes it once a minute, so that no request waits for it."""

    def __init__(self, context: AppContext) -> None:
        self._context = context
        self._used: set[str] = set()

    def note(self, session_id: str) -> None:
        """Note that a session was used."""
        self._used.add(session_id)

    @contextlib.asynccontextmanager
    async def being_stored(self) -> AsyncIterator[None]:
        """While the block runs, write what was noted once a minute and at the end."""
        try:
            async with run_in_background(self._keep_storing()):
                yield
        finally:
            await self._store()

    async def _keep_storing(self) -> None:
        while True:
            await asyncio.sleep(_TOUCH_S)
            await self._store()

    async def _store(self) -> None:
        used, self._used = self._used, set()
        if not used:
            return
        try:
            async with self._context.database.write() as tx:
                await touch_sessions(tx, used, self._context.clock())
        except TocsinError as cause:  # a session may end for want of use a little earlier
            log.warning("could not store when sessions were last used", cause=cause.detail)


async def find_signed_in(request: Request, *, is_use: bool = True) -> SignedIn | None:
    """Return who sent the request; None where nobody is signed in. `is_use` False: the session ends for want of use all the same."""
    context: AppContext = request.app.state.context
    token = request.cookies.get(cookie_name(context), "")
    if not token or len(token) > _TOKEN_LONGEST:
        return None
    hashed = hash_of_session(context.secret, token)
    async with context.database.read() as tx:
        found = await find_session(tx, hashed)
    if found is None:
        return None
    session, person, stored, has_namesake = found
    if not hmac.compare_digest(stored, hashed) or session.is_over(context.clock()) or person.disabled_at is not None:
        return None
    if is_use:
        use: SessionUse = request.app.state.session_use
        use.note(session.id)
    return SignedIn(
        person=person,
        session=session,
        language=person.language or language_of(request),
        zone=person.zone or context.settings.time_zone,
        csrf=token_for_forms(context, token),
        has_namesake=has_namesake,
    )


async def end_earlier(request: Request) -> None:
    """End the session that this browser had before somebody signed in: nobody could see or end it there any more."""
    context: AppContext = request.app.state.context
    earlier = await find_signed_in(request)
    if earlier is not None:
        async with context.database.write() as tx:
            await sign_out(tx, earlier.person, earlier.session.id, context.clock())


async def need_person(request: Request) -> SignedIn:
    """Return who is signed in. Raises HTTPException, which leads to the sign-in."""
    found = await find_signed_in(request)
    if found is not None:
        # Before the page reads its data: what happens while it does is then announced to it as new.
        request.state.live = await streams_of(request, request.app.state.context).mark(found.customers)
        return found
    if request.headers.get("hx-request"):  # htmx would put the page of the redirect into a part of this one
        raise HTTPException(401, "you are signed out", headers={"HX-Redirect": SIGN_IN})
    asked = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    return_to = asked if request.method in ("GET", "HEAD") and asked != "/" else "/"
    where = SIGN_IN if return_to == "/" else f"{SIGN_IN}?next={quote(return_to, safe='/')}"
    raise HTTPException(303, "sign in first", headers={"Location": where})


SignedInPerson = Annotated[SignedIn, Depends(need_person)]


@dataclass(frozen=True, slots=True)
class NeedPerson:
    """A dependency that accepts people with at least this role. To others the page does not exist.

    The table of rights (docs/rights.md) is read from these objects.
    """

    least: Role
    for_everything: bool = False  # what concerns every customer; to somebody who sees only some, it does not exist

    async def __call__(self, who: SignedInPerson) -> SignedIn:
        """Return the person. Raises NotFound."""
        if not who.role.covers(self.least) or (self.for_everything and who.customers is not None):
            raise NotFound("there is nothing at this address")
        return who


def need_role(least: Role) -> NeedPerson:
    """Return a dependency that accepts people with at least this role."""
    return NeedPerson(least)


def need_everything(least: Role) -> NeedPerson:
    """Return a dependency as `need_role`, for what concerns every customer: to somebody who sees only some, it does not exist."""
    return NeedPerson(least, for_everything=True)


def need_fresh(who: SignedIn, context: AppContext, back: str) -> None:
    """Send somebody who has not shown for some minutes who they are to do that first, and then to the page `back`.

    Keys and people are changed only so: a browser that was left open must not be enough.
    """
    if not who.session.is_fresh(context.clock()):
        raise HTTPException(303, "sign in again first", headers={"Location": f"{PROVE}?next={quote(back, safe='/')}"})


async def require_csrf(request: Request, who: SignedInPerson) -> FormData:
    """Return the form of a POST after checking that a page of ours sent it, for this session."""
    form = await read_form(request)
    check_token(request, form, who.csrf)
    return form


PostedForm = Annotated[FormData, Depends(require_csrf)]


def check_token(request: Request, form: FormData, expected: str) -> None:
    """Raise HTTPException unless the form or the header has the expected token, and no other site sent it."""
    given = form.get("csrf") or request.headers.get("x-csrf-token") or ""
    is_foreign = request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none")
    if is_foreign or not isinstance(given, str) or not hmac.compare_digest(given.encode(), expected.encode()):
        raise HTTPException(
            403, "the form is too old, or another site sent it: go back, load the page again, and try again"
        )


async def read_form(request: Request) -> FormData:
    """Return the form in the body of a request. A body must say how long it is, and not be too large or too slow."""
    length = request.headers.get("content-length", "")
    if not (length.isascii() and length.isdecimal()):
        raise HTTPException(411, "the length of the body is missing")
    if int(length) > FORM_LIMIT:
        raise HTTPException(413, f"the body is larger than {FORM_LIMIT} bytes")
    try:
        async with asyncio.timeout(READ_TIMEOUT_S):
            await request.body()
    except TimeoutError:
        raise HTTPException(408, f"the body did not arrive within {READ_TIMEOUT_S:.0f} s") from None
    form = await request.form(max_files=0)
    if any("\x00" in name or (isinstance(value, str) and "\x00" in value) for name, value in form.multi_items()):
        raise HTTPException(400, "a field has a character that cannot be stored")  # PostgreSQL takes no NUL
    return form


def text_of(form: FormData, name: str) -> str:
    """Return a field of a form; empty where it is missing."""
    value = form.get(name)
    return value if isinstance(value, str) else ""


def token_for_forms(context: AppContext, token: str) -> str:
    """Return what forms of the browser that has this token in a cookie must carry."""
    return hmac.digest(context.secret.derive("csrf"), token.encode("utf-8", "surrogateescape"), "sha256").hex()


def cookie_name(context: AppContext) -> str:
    """Return the name of the cookie. `__Host-` makes browsers refuse it from a neighbour's domain; it needs https."""
    return f"{cookie_prefix(context)}tocsin"


def cookie_prefix(context: AppContext) -> str:
    """Return how names of cookies begin. `__Host-` needs https."""
    return "__Host-" if is_secure(context) else ""


def is_secure(context: AppContext) -> bool:
    """Say whether browsers reach us by https."""
    return context.settings.public_url.startswith("https://")


def keep_session(response: Response, context: AppContext, token: str) -> None:
    """Set the cookie of a session."""
    set_cookie(response, context, cookie_name(context), token, round(LONGEST.total_seconds()))


def forget_session(response: Response, context: AppContext) -> None:
    """Delete the cookie of the session."""
    set_cookie(response, context, cookie_name(context), "", 0)


def set_cookie(response: Response, context: AppContext, name: str, value: str, seconds: int) -> None:
    """Set a cookie that no script can read, and that other sites' forms do not send."""
    response.set_cookie(
        name, value, max_age=seconds, path="/", secure=is_secure(context), httponly=True, samesite="lax"
    )


def safe_next(text: str | None) -> str:
    """Return the address to go on to after signing in: a path of ours, or `/` (no open redirect)."""
    if not text or len(text) > _NEXT_LONGEST or not text.startswith("/") or text[1:2] in ("/", "\\"):
        return "/"
    if not text.isprintable() or "\\" in text or " " in text:
        return "/"
    try:
        parts = urlsplit(text)
    except ValueError:
        return "/"
    return "/" if parts.scheme or parts.netloc or parts.path.startswith((SIGN_IN, "/sign-out/now")) else text


def language_of(request: Request) -> str:
    """Return the first language of the browser that pages are in."""
    for part in request.headers.get("accept-language", "").split(","):
        code = part.partition(";")[0].strip().lower().partition("-")[0]
        if code in ("de", "en"):
            return code
    return "en"
