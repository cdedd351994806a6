"""/account: what somebody changes of their own sign-in: password, one-time codes, sessions, language and time zone."""

from typing import Annotated
from urllib.parse import quote

import pyotp
from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from markupsafe import Markup

from app.admin.proofs import (
    begin_codes,
    change_password,
    check_password,
    confirm_codes,
    end_codes,
    pending_codes,
)
from app.admin.sessions import end_session
from app.core.errors import BadInput, TocsinError
from app.core.passwords import SHORTEST, Passwords
from app.core.time_zones import read_time_zone
from app.http.api.dependencies import Context
from app.http.pages.frame import render
from app.http.pages.languages import LANGUAGES
from app.http.pages.session import PostedForm, SignedInPerson, need_fresh, text_of
from app.store.people import proofs_of, sessions_of, set_looks

router = APIRouter(include_in_schema=False)
ACCOUNT = "/account"
Done = Annotated[str, Query(max_length=20)]


@router.get(ACCOUNT)
async def show_account(request: Request, context: Context, who: SignedInPerson, done: Done = "") -> HTMLResponse:
    """Show how the person signs in, and where they are signed in."""
    return await _page(request, context, who, done=done)


@router.post(ACCOUNT + "/password")
async def post_password(request: Request, context: Context, who: SignedInPerson, form: PostedForm) -> Response:
    """Change the password. Whoever did not sign in just now shows the present one first (`/prove`)."""
    passwords: Passwords = request.app.state.passwords
    need_fresh(who, context, ACCOUNT)
    password = text_of(form, "password")
    try:
        check_password(password, who.person)
    except BadInput as refused:
        return await _page(request, context, who, refused=refused)
    hashed = await passwords.hash(password)
    async with context.database.write() as tx:
        await change_password(tx, who.person, hashed, context.clock(), stays=who.session.id)
    return RedirectResponse(f"{ACCOUNT}?done=password", 303)


@router.post(ACCOUNT + "/codes")
async def post_codes(context: Context, who: SignedInPerson, _form: PostedForm) -> Response:
    """Begin with one-time codes: the page then shows the secret."""
    need_fresh(who, context, ACCOUNT)
    async with context.database.write() as tx:
        if (await proofs_of(tx, who.id)).codes_since is None:
            await begin_codes(tx, context.secret, who.person)
    return RedirectResponse(f"{ACCOUNT}#codes", 303)


@router.post(ACCOUNT + "/codes/confirm")
async def post_first_code(request: Request, context: Context, who: SignedInPerson, form: PostedForm) -> Response:
    """Turn one-time codes on with the first one, and show the recovery codes, once."""
    need_fresh(who, context, ACCOUNT)
    try:
        async with context.database.write() as tx:
            recovery = await confirm_codes(tx, context.secret, who.person, text_of(form, "code"), context.clock())
    except BadInput as refused:
        return await _page(request, context, who, refused=refused)
    return await _page(request, context, who, recovery=recovery)


@router.post(ACCOUNT + "/codes/end")
async def post_end_codes(context: Context, who: SignedInPerson, _form: PostedForm) -> Response:
    """Turn one-time codes off."""
    need_fresh(who, context, ACCOUNT)
    async with context.database.write() as tx:
        await end_codes(tx, who.person, who.editor(context))
    return RedirectResponse(f"{ACCOUNT}?done=codes_off", 303)


@router.post(ACCOUNT + "/sessions/end")
async def post_end_session(context: Context, who: SignedInPerson, form: PostedForm) -> Response:
    """End one other session of the person, or all others."""
    async with context.database.write() as tx:
        await end_session(tx, who.person, who.session.id, text_of(form, "session") or None, context.clock())
    return RedirectResponse(f"{ACCOUNT}?done=ended", 303)


@router.post(ACCOUNT + "/looks")
async def post_looks(request: Request, context: Context, who: SignedInPerson, form: PostedForm) -> Response:
    """Store the language and the time zone that the person wants."""
    language, zone = text_of(form, "language") or None, text_of(form, "zone").strip() or None
    try:
        zone = None if zone is None else read_time_zone(zone)
    except ValueError as wrong:
        return await _page(request, context, who, refused=BadInput(str(wrong), field="zone"))
    async with context.database.write() as tx:
        await set_looks(tx, who.id, language if language in LANGUAGES else None, zone)
    return RedirectResponse(f"{ACCOUNT}?done=looks", 303)


async def _page(
    request: Request,
    context: Context,
    who: SignedInPerson,
    *,
    done: str = "",
    refused: TocsinError | None = None,
    recovery: list[str] | None = None,
) -> HTMLResponse:
    async with context.database.read() as tx:
        proofs = await proofs_of(tx, who.id)
        pending = await pending_codes(tx, context.secret, who.person)
        sessions = [one for one in await sessions_of(tx, who.id) if not one.is_over(context.clock())]
    is_fresh = who.session.is_fresh(context.clock())
    shown = pending if is_fresh else None  # the secret of codes is shown only to who has just shown who they are
    uri = None if shown is None else pyotp.TOTP(shown).provisioning_uri(name=who.person.email, issuer_name="Tocsin")
    return render(
        request,
        context,
        who,
        "account.html",
        status=200 if refused is None else refused.status,
        place="account",
        news=done,
        refused=refused,
        proofs=proofs,
        is_fresh=is_fresh,
        codes_secret=shown,
        codes_uri=uri,
        codes_qr=None if uri is None else _qr_code(uri),
        recovery=recovery,
        sessions=sessions,
        shortest=SHORTEST,
        prove=f"/prove?next={quote(ACCOUNT, safe='/')}",
    )


def _qr_code(text: str) -> Markup:
    """Return a QR code as SVG: dark on light in both themes, as cameras need it, and without styles, which the policy would refuse."""
    import segno  # noqa: PLC0415  (used only when a person sets up codes)

    drawn = segno.make_qr(text, error="m").svg_inline(
        border=4, omitsize=True, svgclass=None, lineclass=None, dark="#000", light="#fff"
    )
    return Markup(drawn)  # noqa: S704  (drawn from numbers; the text itself is not in it)
