"""/sign-in/provider and /prove/provider: the authorization request to the identity provider, and its callback.

What belongs to one authorization request (state, nonce, PKCE verifier) is kept for ten minutes in an encrypted cookie of its own. A callback without
that cookie, from another browser or later than that, signs nobody in.
"""

import base64
import hmac
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import RedirectResponse, Response

from app.admin.provider_sign_in import prove_by_provider, sign_in_by_provider
from app.context import AppContext
from app.core.errors import NotAllowed, NotFound, Unavailable
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
    from cryptography.fernet import Fernet

    from app.http.pages.identity_provider import IdentityProvider

router = APIRouter(include_in_schema=False)
START, CALLBACK, PROVE_START = f"{SIGN_IN}/provider", f"{SIGN_IN}/provider/callback", f"{PROVE}/provider"
_PENDING_FOR = timedelta(minutes=10)
_STATE_LONGEST, _ANSWER_LONGEST = 100, 8000
Next = Annotated[str, Query(alias="next", max_length=2000)]


@dataclass(frozen=True, slots=True)
class _PendingSignIn:
    """A sign-in that waits for the provider's callback. `proof_of`: the id of the session whose person must prove again who they are."""

    flow: Flow
    return_to: str
    began_at: datetime
    proof_of: str | None = None


@router.get(START)
async def start_sign_in(request: Request, context: Context, return_to: Next = "/") -> Response:
    """Redirect somebody to the identity provider to sign in there."""
    if await find_signed_in(request) is not None:
        return RedirectResponse(safe_next(return_to), 303)
    try:
        return await _redirect_to_provider(request, context, safe_next(return_to), None)
    except Unavailable as refused:
        return sign_in_page(request, context, return_to, refused)


@router.get(PROVE_START)
async def start_proof(request: Request, context: Context, who: SignedInPerson, return_to: Next = "/") -> Response:
    """Redirect somebody who is signed in to the identity provider, which must ask them to sign in again."""
    try:
        return await _redirect_to_provider(request, context, safe_next(return_to), who.session.id)
    except Unavailable as refused:
        return await prove_page(request, context, who, return_to, refused)


@router.get(CALLBACK)
async def finish_sign_in(request: Request, context: Context) -> Response:
    """Sign in the person that the identity provider confirms, and redirect to the page that was asked for."""
    settings = _settings(context)
    answer = {name: value for name, value in request.query_params.items() if len(value) <= _ANSWER_LONGEST}
    state = answer.get("state", "")[:_STATE_LONGEST]
    pending = _read_pending(context, request.cookies.get(_cookie(context, state), ""), state)
    return_to = "/" if pending is None else pending.return_to
    try:
        token = await _begin_session(request, context, settings, pending, answer)
    except (NotAllowed, Unavailable) as refused:
        who = await find_signed_in(request)
        if who is not None and pending is not None and pending.proof_of is not None:
            response: Response = await prove_page(request, context, who, return_to, refused)
        else:
            response = sign_in_page(request, context, return_to, refused)
    else:
        response = RedirectResponse(return_to, 303)
        keep_session(response, context, token)
    set_cookie(response, context, _cookie(context, state), "", 0)  # one callback for each authorization request
    return response


async def provider_logout(request: Request, context: AppContext) -> str | None:
    """Return the address that ends the session at the provider too; None if the provider has none or does not answer."""
    if context.settings.oidc is None:
        return None
    try:
        return await (await _provider(request, context)).logout_url(f"{context.settings.public_url}{SIGN_IN}")
    except Unavailable:
        return None


async def _begin_session(
    request: Request,
    context: AppContext,
    settings: OidcSettings,
    pending: _PendingSignIn | None,
    answer: Mapping[str, str],
) -> str:
    """Return the token of a new session, or of the session that is proven again. Raises NotAllowed, Unavailable."""
    who = await find_signed_in(request)
    if pending is None or (pending.proof_of is not None and (who is None or who.session.id != pending.proof_of)):
        raise NotAllowed("this took longer than ten minutes, or began in another browser", code="provider_expired")
    identity = await (await _provider(request, context)).exchange_code(pending.flow, answer)
    if who is not None and pending.proof_of is not None:
        return await prove_by_provider(context, identity, who.person, who.session, pending.began_at)
    _, token = await sign_in_by_provider(context, settings, identity, browser_of(request))
    await end_earlier(request)
    return token


async def _redirect_to_provider(
    request: Request, context: AppContext, return_to: str, proof_of: str | None
) -> Response:
    _settings(context)
    url, flow = await (await _provider(request, context)).authorization_request(is_proof=proof_of is not None)
    pending = _PendingSignIn(flow, return_to, context.clock(), proof_of)
    response = RedirectResponse(url, 303)
    kept = json.dumps({**asdict(pending), "began_at": pending.began_at.isoformat()}).encode()
    cookie = _cipher(context).encrypt(kept).decode()
    set_cookie(response, context, _cookie(context, flow.state), cookie, round(_PENDING_FOR.total_seconds()))
    return response


def _read_pending(context: AppContext, cookie: str, state: str) -> _PendingSignIn | None:
    from cryptography.fernet import InvalidToken  # noqa: PLC0415  (see _cipher)

    try:
        kept = json.loads(_cipher(context).decrypt(cookie.encode()))
    except (InvalidToken, ValueError):
        return None
    pending = _PendingSignIn(
        Flow(**kept["flow"]), kept["return_to"], datetime.fromisoformat(kept["began_at"]), kept["proof_of"]
    )
    is_ours = hmac.compare_digest(pending.flow.state.encode(), state.encode())
    return pending if is_ours and timedelta(0) <= context.clock() - pending.began_at <= _PENDING_FOR else None


def _settings(context: AppContext) -> OidcSettings:
    if context.settings.oidc is None:
        raise NotFound("there is nothing at this address")
    return context.settings.oidc


async def _provider(request: Request, context: AppContext) -> "IdentityProvider":
    state, settings = request.app.state, _settings(context)
    if not hasattr(state, "identity_provider"):

        def load() -> "IdentityProvider":
            from app.http.pages.identity_provider import IdentityProvider  # noqa: PLC0415  (takes 0.2 s to import)

            return IdentityProvider(settings, f"{context.settings.public_url}{CALLBACK}")

        state.identity_provider = await load_in_turn(load)
    provider: IdentityProvider = state.identity_provider
    return provider


def _cookie(context: AppContext, state: str) -> str:
    """Return the name of the cookie of one authorization request: two tabs must not use each other's."""
    return f"{cookie_prefix(context)}tocsin-sign-in-{context.secret.hash_key(f'sign-in:{state}')[:12]}"


def _cipher(context: AppContext) -> "Fernet":
    # Its library takes 7 MiB, and a service at rest has no use for it.
    from cryptography.fernet import Fernet  # noqa: PLC0415

    return Fernet(base64.urlsafe_b64encode(context.secret.derive("pending sign-in")))
