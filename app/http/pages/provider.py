"""/sign-in/provider and /prove/provider: to the identity provider and back.

What a browser must bring back with the answer (state, nonce, PKCE verifier) is in an encrypted cookie of its own, for ten minutes: an answer
that another browser was sent to, or that is older, signs nobody in.
"""

import base64
import hmac
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated

from cryptography.fernet import Fernet, InvalidToken
from fastapi import APIRouter, Query, Request
from fastapi.responses import RedirectResponse, Response

from app.admin.provider_sign_in import prove_by_provider, sign_in_by_provider
from app.context import AppContext
from app.core.errors import NotAllowed, NotFound, TocsinError, Unavailable
from app.core.loading import load_in_turn
from app.core.oidc_settings import OidcSettings
from app.domain.identity import Flow
from app.http.api.dependencies import Context
from app.http.pages.session import (
    PROVE,
    SIGN_IN,
    SignedInPerson,
    cookie_prefix,
    end_earlier,
    find_signed_in,
    keep_session,
    safe_next,
    set_cookie,
)
from app.http.pages.sign_in import browser_of, prove_page, sign_in_page

if TYPE_CHECKING:
    from app.http.pages.identity_provider import IdentityProvider

router = APIRouter(include_in_schema=False)
START, BACK, PROVE_START = f"{SIGN_IN}/provider", f"{SIGN_IN}/provider/back", f"{PROVE}/provider"
_LASTS = timedelta(minutes=10)
_STATE_LONGEST, _ANSWER_LONGEST = 100, 8000
Next = Annotated[str, Query(alias="next", max_length=2000)]


@dataclass(frozen=True, slots=True)
class _Trip:
    """Somebody on the way to the provider. `proves` is the session whose person shows again who they are."""

    flow: Flow
    goes_on: str
    began_at: datetime
    proves: str | None = None


@router.get(START)
async def go_to_provider(request: Request, context: Context, goes_on: Next = "/") -> Response:
    """Send somebody to the identity provider to sign in there."""
    if await find_signed_in(request) is not None:
        return RedirectResponse(safe_next(goes_on), 303)
    try:
        return await _send(request, context, safe_next(goes_on), None)
    except Unavailable as refused:
        return sign_in_page(request, context, goes_on, refused)


@router.get(PROVE_START)
async def go_to_prove(request: Request, context: Context, who: SignedInPerson, goes_on: Next = "/") -> Response:
    """Send somebody who is signed in to the identity provider, which must ask again who they are."""
    try:
        return await _send(request, context, safe_next(goes_on), who.session.id)
    except Unavailable as refused:
        return await prove_page(request, context, who, goes_on, refused)


@router.get(BACK)
async def come_back(request: Request, context: Context) -> Response:
    """Sign in who comes back from the identity provider, and go on to the page that was asked for."""
    settings = _settings(context)
    answer = {name: value for name, value in request.query_params.items() if len(value) <= _ANSWER_LONGEST}
    state = answer.get("state", "")[:_STATE_LONGEST]
    trip = _read_trip(context, request.cookies.get(_cookie(context, state), ""), state)
    try:
        token = await _arrive(request, context, settings, trip, answer)
    except (NotAllowed, Unavailable) as refused:
        response = await _refuse(request, context, trip, refused)
    else:
        response = RedirectResponse("/" if trip is None else trip.goes_on, 303)
        keep_session(response, context, token)
    set_cookie(response, context, _cookie(context, state), "", 0)  # one answer for each way there
    return response


async def provider_logout(request: Request, context: AppContext) -> str | None:
    """Return the address that ends the session at the provider too; None if it has none, or does not answer."""
    if context.settings.oidc is None:
        return None
    try:
        return await (await _provider(request, context)).logout_url(f"{context.settings.public_url}{SIGN_IN}")
    except Unavailable:
        return None


async def _arrive(
    request: Request, context: AppContext, settings: OidcSettings, trip: _Trip | None, answer: Mapping[str, str]
) -> str:
    """Return the token of the session that an answer of the provider begins, or proves. Raises NotAllowed, Unavailable."""
    who = await find_signed_in(request)
    if trip is None or (trip.proves is not None and (who is None or who.session.id != trip.proves)):
        raise NotAllowed("this took longer than ten minutes, or began in another browser", code="provider_expired")
    identity = await (await _provider(request, context)).finish(trip.flow, answer)
    if who is not None and trip.proves is not None:
        return await prove_by_provider(context, identity, who.person, who.session, trip.began_at)
    _, token = await sign_in_by_provider(context, settings, identity, browser_of(request))
    await end_earlier(request)
    return token


async def _refuse(request: Request, context: AppContext, trip: _Trip | None, refused: TocsinError) -> Response:
    goes_on = "/" if trip is None else trip.goes_on
    who = await find_signed_in(request)
    if who is not None and trip is not None and trip.proves is not None:
        return await prove_page(request, context, who, goes_on, refused)
    return sign_in_page(request, context, goes_on, refused)


async def _send(request: Request, context: AppContext, goes_on: str, proves: str | None) -> Response:
    _settings(context)
    url, flow = await (await _provider(request, context)).start_flow(is_proof=proves is not None)
    trip = _Trip(flow, goes_on, context.clock(), proves)
    response = RedirectResponse(url, 303)
    kept = json.dumps({**asdict(trip), "began_at": trip.began_at.isoformat()}).encode()
    cookie = _box(context).encrypt(kept).decode()
    set_cookie(response, context, _cookie(context, flow.state), cookie, round(_LASTS.total_seconds()))
    return response


def _read_trip(context: AppContext, cookie: str, state: str) -> _Trip | None:
    try:
        kept = json.loads(_box(context).decrypt(cookie.encode()))
    except (InvalidToken, ValueError):
        return None
    trip = _Trip(Flow(**kept["flow"]), kept["goes_on"], datetime.fromisoformat(kept["began_at"]), kept["proves"])
    is_ours = hmac.compare_digest(trip.flow.state.encode(), state.encode())
    return trip if is_ours and timedelta(0) <= context.clock() - trip.began_at <= _LASTS else None


def _settings(context: AppContext) -> OidcSettings:
    if context.settings.oidc is None:
        raise NotFound("there is nothing at this address")
    return context.settings.oidc


async def _provider(request: Request, context: AppContext) -> "IdentityProvider":
    state, settings = request.app.state, _settings(context)
    if not hasattr(state, "identity_provider"):

        def load() -> "IdentityProvider":
            from app.http.pages.identity_provider import IdentityProvider  # noqa: PLC0415  (takes 0.2 s to import)

            return IdentityProvider(settings, f"{context.settings.public_url}{BACK}")

        state.identity_provider = await load_in_turn(load)
    provider: IdentityProvider = state.identity_provider
    return provider


def _cookie(context: AppContext, state: str) -> str:
    """Return the name of the cookie of one way to the provider: two tabs must not take each other's."""
    return f"{cookie_prefix(context)}tocsin-way-{context.secret.hash_key(f'way:{state}')[:12]}"


def _box(context: AppContext) -> Fernet:
    return Fernet(base64.urlsafe_b64encode(context.secret.derive("way to the identity provider")))
