"""Sign-in by an identity provider: OpenID Connect, the authorization code flow with PKCE.

OpenID Connect Core 1.0 and Discovery 1.0, RFC 7636 (PKCE), RFC 9207 (`iss` of the answer), RP-Initiated Logout 1.0.

Requests go through the network backend that webhooks have, with its bounded look-ups, but may reach private addresses: the address of
the provider is the owner's own setting, and a provider in the same network is usual. Redirects are not followed, and answers are bounded (bounded_network.py).
"""

import asyncio
import base64
import json
import secrets
import ssl
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote_plus, urlencode, urlsplit

import anyio
import httpcore
from authlib.common.security import generate_token
from authlib.common.urls import add_params_to_uri
from authlib.oauth2.rfc6749.parameters import prepare_grant_uri, prepare_token_request
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from app.core.errors import NotAllowed, Unavailable
from app.core.log import log
from app.core.oidc_settings import OidcSettings
from app.deliver.transports.http_exchange import open_pool
from app.deliver.transports.public_only import PublicOnly
from app.domain.identity import Flow, Identity

_TIMEOUT_S = 10.0  # for one request, from the look-up of the name to the end of the answer
_REQUESTS_MOST = 8
_KEPT_S = 3600.0  # the discovery document and the keys
_RETRY_S = 5.0  # wait before a provider that did not answer, or its keys, are requested again
_LEEWAY_S = 60
_OK = 200
# Only signatures that need the provider's private key: with HS256, whoever knows a public key could sign (RFC 8725 section 2.1).
_ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "Ed25519", "EdDSA")
_HEADERS = {"accept": "application/json", "accept-encoding": "identity", "user-agent": "Tocsin"}
_SUBJECT_LONGEST, _GROUPS_MOST = 255, 2000
Claims = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class _Metadata:
    authorization: str
    token: str
    jwks: str
    userinfo: str | None
    end_session: str | None
    sends_secret_in_form: bool
    names_issuer: bool


class IdentityProvider:
    """One provider. Its discovery document and its keys are cached for an hour."""

    def __init__(self, settings: OidcSettings, redirect_uri: str) -> None:
        self._settings = settings
        self._redirect_uri = redirect_uri
        self._lock = asyncio.Lock()
        self._limit = asyncio.Semaphore(_REQUESTS_MOST)
        self._tls: ssl.SSLContext | None = None
        self._metadata: tuple[_Metadata, float] | None = None
        self._keys: tuple[KeySet, float] | None = None
        self._keys_read_again_at = -_RETRY_S
        self._failed: tuple[str, float] | None = None

    async def authorization_request(self, *, is_proof: bool) -> tuple[str, Flow]:
        """Return the address of an authorization request, and what the callback is checked against. `is_proof`: the provider must ask for a sign-in even if it has a session."""
        found = await self._discover()
        flow = Flow(secrets.token_urlsafe(24), secrets.token_urlsafe(24), generate_token(64))
        more = {"prompt": "login", "max_age": "0"} if is_proof else {}
        url: str = prepare_grant_uri(
            found.authorization,
            self._settings.client_id,
            "code",
            redirect_uri=self._redirect_uri,
            scope=self._settings.scopes,
            state=flow.state,
            nonce=flow.nonce,
            code_challenge=create_s256_code_challenge(flow.verifier),
            code_challenge_method="S256",
            **more,
        )
        return url, flow

    async def exchange_code(self, flow: Flow, answer: Mapping[str, str]) -> Identity:
        """Check the callback, exchange its code for tokens, and return who signed in. Raises NotAllowed, and Unavailable if the provider does not answer."""
        found = await self._discover()
        given = answer.get("iss")
        if (given is None and found.names_issuer) or given not in (None, self._settings.issuer):
            raise _refused("the answer is from another issuer")
        if "error" in answer or "code" not in answer:
            raise _refused(f"the provider answered {answer.get('error', 'nothing')[:100]}")
        form, headers = self._token_form(found, answer["code"], flow.verifier)
        status, body = await self._request("POST", found.token, headers, form)
        tokens = _json_object(body)
        id_token, access_token = tokens.get("id_token"), tokens.get("access_token")
        if status != _OK or not isinstance(id_token, str):
            raise _refused(f"the provider refuses the code: {status} {str(tokens.get('error', ''))[:100]}")
        claims = await self._check_id_token(id_token, access_token, flow.nonce)
        needs_userinfo = "email" not in claims or _claim(claims, self._settings.groups_claim) is None
        if isinstance(access_token, str) and found.userinfo is not None and needs_userinfo:
            status, body = await self._request("GET", found.userinfo, {"authorization": f"Bearer {access_token}"})
            document = _json_object(body) if status == _OK else {}
            if document.get("sub") == claims["sub"]:
                claims = {**document, **claims}
        return self._identity(claims)

    async def logout_url(self, back: str) -> str | None:
        """Return the address that ends the session at the provider too; None if it has none."""
        end = (await self._discover()).end_session
        if end is None:
            return None
        url: str = add_params_to_uri(end, [("client_id", self._settings.client_id), ("post_logout_redirect_uri", back)])
        return url

    async def check(self) -> None:
        """Raise Unavailable unless the provider can be used: its discovery document and its keys can be read."""
        await self._key_set(0.0)

    async def _check_id_token(self, id_token: str, access_token: object, nonce: str) -> Claims:
        asked_at = time.monotonic()
        keys = await self._key_set(0.0)
        try:
            token = jwt.decode(id_token, keys, algorithms=_ALGORITHMS)
        except (JoseError, ValueError, TypeError):
            if (
                asked_at < self._keys_read_again_at + _RETRY_S
            ):  # forged tokens must not cause a request to the provider each time
                raise _refused("the signature of the id token matches no key of the provider") from None
            self._keys_read_again_at = asked_at
            keys = await self._key_set(asked_at)  # the provider may have new keys
            try:
                token = jwt.decode(id_token, keys, algorithms=_ALGORITHMS)
            except (JoseError, ValueError, TypeError) as wrong:
                raise _refused(f"the signature of the id token: {type(wrong).__name__}") from None
        options = {
            "iss": {"essential": True, "value": self._settings.issuer},
            "aud": {"essential": True, "value": self._settings.client_id},
            "nonce": {"essential": True, "value": nonce},
        }
        params = {"nonce": nonce, "client_id": self._settings.client_id, "access_token": access_token}
        claims = CodeIDToken(token.claims, token.header, options, params)
        try:
            claims.validate(int(time.time()), _LEEWAY_S)
        except (JoseError, ValueError, TypeError, AttributeError) as wrong:
            raise _refused(f"the id token: {wrong}") from None
        subject = claims.get("sub")
        if not isinstance(subject, str) or not 0 < len(subject) <= _SUBJECT_LONGEST or not subject.isprintable():
            raise _refused("the id token has no usable subject")
        return dict(claims)

    def _identity(self, claims: Claims) -> Identity:
        groups = _claim(claims, self._settings.groups_claim)
        listed: Sequence[object] = groups if isinstance(groups, list) else [] if groups is None else [groups]
        email, name, verified = claims.get("email"), claims.get("name"), claims.get("email_verified")
        auth_time = claims.get("auth_time")
        return Identity(
            issuer=self._settings.issuer,
            subject=str(claims["sub"]),
            email=email if isinstance(email, str) else None,
            is_email_verified=None if verified is None else verified in (True, "true"),
            name=name if isinstance(name, str) else None,
            groups=tuple(one for one in listed[:_GROUPS_MOST] if isinstance(one, str)),
            auth_time=int(auth_time) if isinstance(auth_time, int | float) else None,
        )

    def _token_form(self, found: _Metadata, code: str, verifier: str) -> tuple[bytes, dict[str, str]]:
        form: str = prepare_token_request(
            "authorization_code", redirect_uri=self._redirect_uri, code=code, code_verifier=verifier
        )
        headers = {"content-type": "application/x-www-form-urlencoded"}
        client_id, secret = self._settings.client_id, self._settings.client_secret
        if secret is None:
            form += "&" + urlencode({"client_id": client_id})
        elif found.sends_secret_in_form:
            form += "&" + urlencode({"client_id": client_id, "client_secret": secret})
        else:
            login = f"{quote_plus(client_id)}:{quote_plus(secret)}"  # RFC 6749 section 2.3.1: form-encoded first
            headers["authorization"] = "Basic " + base64.b64encode(login.encode()).decode()
        return form.encode(), headers

    async def _discover(self) -> _Metadata:
        async with self._lock:
            at = time.monotonic()
            if self._metadata is not None and at < self._metadata[1] + _KEPT_S:
                return self._metadata[0]
            if self._failed is not None and at < self._failed[1] + _RETRY_S:
                raise _unavailable(self._failed[0])
            try:
                status, body = await self._request(
                    "GET", f"{self._settings.issuer.rstrip('/')}/.well-known/openid-configuration", {}
                )
                found = self._read_metadata(status, _json_object(body))
            except Unavailable as cause:
                self._failed = cause.detail, time.monotonic()
                raise
            self._metadata, self._failed = (found, time.monotonic()), None
            return found

    def _read_metadata(self, status: int, document: Claims) -> _Metadata:
        if status != _OK or document.get("issuer") != self._settings.issuer:
            raise _unavailable(
                f"its discovery document at /.well-known/openid-configuration has status {status} and the issuer {str(document.get('issuer'))[:200]!r}"
            )
        schemes = ("https",) if self._settings.issuer.startswith("https://") else ("https", "http")

        def address(name: str) -> str | None:
            value = document.get(name)
            return value if isinstance(value, str) and urlsplit(value).scheme in schemes else None

        authorization, token, jwks = (
            address("authorization_endpoint"),
            address("token_endpoint"),
            address("jwks_uri"),
        )
        if authorization is None or token is None or jwks is None:
            raise _unavailable("its discovery document lacks an endpoint, or has one that is not https")
        methods = document.get("token_endpoint_auth_methods_supported")
        return _Metadata(
            authorization,
            token,
            jwks,
            address("userinfo_endpoint"),
            address("end_session_endpoint"),
            sends_secret_in_form=isinstance(methods, list) and "client_secret_basic" not in methods,
            names_issuer=document.get("authorization_response_iss_parameter_supported") is True,
        )

    async def _key_set(self, newer_than: float) -> KeySet:
        """Return the keys of the provider that were read at or after `newer_than` (monotonic clock)."""
        found = await self._discover()
        async with self._lock:
            kept = self._keys
            if kept is not None and kept[1] >= newer_than and time.monotonic() < kept[1] + _KEPT_S:
                return kept[0]
            status, body = await self._request("GET", found.jwks, {})
            listed = _json_object(body).get("keys")
            usable = (
                [one for one in listed if isinstance(one, dict) and one.get("kty") in ("RSA", "EC", "OKP")]
                if isinstance(listed, list)
                else []
            )
            try:
                keys = KeySet.import_key_set({"keys": [one for one in usable if one.get("use", "sig") == "sig"]})
            except (JoseError, ValueError, TypeError, KeyError) as wrong:
                raise _unavailable(f"its keys cannot be read: {type(wrong).__name__}") from None
            if status != _OK or not usable:
                raise _unavailable(f"its keys have status {status}, and {len(usable)} are usable")
            self._keys = keys, time.monotonic()
            return keys

    async def _request(self, method: str, url: str, headers: Mapping[str, str], body: bytes = b"") -> tuple[int, bytes]:
        """Return the status and the body of an answer. Raises Unavailable."""
        if self._limit.locked():
            raise _unavailable("too many people sign in at this moment")
        async with self._limit:
            if self._tls is None:
                self._tls = await asyncio.to_thread(ssl.create_default_context)
            try:
                with anyio.fail_after(_TIMEOUT_S):
                    return await self._exchange(method, url, {**_HEADERS, **headers}, body)
            except TimeoutError:
                raise _unavailable(f"it did not answer within {_TIMEOUT_S:g} s") from None
            except httpcore.LocalProtocolError:  # its text quotes the header, which holds a secret or a token
                raise _unavailable("the request could not be written") from None
            except (
                httpcore.NetworkError,
                httpcore.TimeoutException,
                httpcore.ProtocolError,
                OSError,
                ValueError,
            ) as cause:
                raise _unavailable(f"it cannot be reached: {str(cause)[:200] or type(cause).__name__}") from None

    async def _exchange(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> tuple[int, bytes]:
        network = PublicOnly(is_allowed=lambda _: True)
        async with (
            open_pool(network, self._tls) as pool,
            pool.stream(method, url, headers=list(headers.items()), content=body or None) as response,
        ):
            read = b""
            async for piece in response.aiter_stream():
                read += piece
            return response.status, read


def _claim(claims: Claims, name: str) -> object:
    """Return a claim by its name. If there is none, a dotted name is read as a path into objects."""
    if name in claims:
        return claims[name]
    found: object = claims
    for part in name.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found


def _json_object(body: bytes) -> Claims:
    try:
        read = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return read if isinstance(read, dict) else {}


def _refused(why: str) -> NotAllowed:
    log.warning("a sign-in by the identity provider failed", cause=why)
    return NotAllowed("the identity provider did not confirm the sign-in", code="provider_refused")


def _unavailable(why: str) -> Unavailable:
    return Unavailable(f"the identity provider cannot be used: {why}", code="provider_unavailable")
