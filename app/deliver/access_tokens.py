"""Gets access tokens for mail systems that take no password: Microsoft's and Google's.

Microsoft: client credentials (RFC 6749 section 4.4) with a secret, or with an assertion signed by a certificate (RFC 7523
section 2.2; https://learn.microsoft.com/entra/identity-platform/certificate-credentials). Google: an assertion signed by a service
account that acts as the mailbox (RFC 7523 section 2.1; https://developers.google.com/identity/protocols/oauth2/service-account),
or a refresh token (RFC 6749 section 6). No error, log line or repr contains a secret or a token.
"""

import asyncio
import json
import re
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

import anyio

from app.core.clock import Clock, now
from app.core.errors import BadSettings
from app.core.oauth_settings import CLOUDS, GOOGLE_TOKEN_URL, read_client_certificate, read_service_account
from app.core.settings import Settings

if TYPE_CHECKING:
    import httpx

_TIMEOUT_S = 15.0  # for the whole exchange
_LONGEST_ANSWER = 64 * 1024
_LONGEST_WORDS = 2048
_LONGEST_TOKEN = 16 * 1024
_USUAL_LIFE = timedelta(minutes=10)  # of a token whose answer does not say it
_LONGEST_LIFE = timedelta(hours=24)
_RENEW_BEFORE = timedelta(minutes=5)
_PAUSE = timedelta(seconds=30)  # after a refusal: a hundred waiting messages must not ask a hundred times
_SHORT_PAUSE = timedelta(seconds=10)  # while the token service cannot be reached
_LONGEST_PAUSE = timedelta(minutes=10)
_ASSERTION_LIFE_S = 300  # Microsoft: 5 to 10 minutes at most; Google: an hour at most
_TOKEN = re.compile(r"[!-~]+")  # visible ASCII (RFC 6749 appendix A.12)
_TEMPORARY = ("temporarily_unavailable", "server_error")  # RFC 6749 section 4.1.2.1
_SERVER_FAULT = 500
_WORTH_A_RETRY = (408, 425, 429)
_HEADERS = {"accept": "application/json", "accept-encoding": "identity", "user-agent": "Tocsin"}
_JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_CLIENT_ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

# What to do about an answer, by a part of it. Microsoft's codes: https://learn.microsoft.com/entra/identity-platform/reference-error-codes
_MENDS = (
    ("AADSTS7000222", "the client secret has expired: create a new one and set TOCSIN_OAUTH_CLIENT_SECRET"),
    ("AADSTS7000215", "TOCSIN_OAUTH_CLIENT_SECRET is wrong: set the secret's value, not its id"),
    ("AADSTS700027", "the certificate is not accepted: upload that of TOCSIN_OAUTH_CERTIFICATE_FILE to the app registration"),
    ("AADSTS700024", "the clock of this host is wrong: set it"),
    ("AADSTS700016", "TOCSIN_OAUTH_CLIENT_ID is not the id of an app in this tenant"),
    ("AADSTS90002", "TOCSIN_OAUTH_TENANT is not a tenant of this cloud (TOCSIN_OAUTH_CLOUD)"),
    ("AADSTS7000112", "the app is disabled in the tenant"),
    ("AADSTS53003", "a conditional access policy of the tenant blocks this app"),
    ("reasonable timeframe", "the clock of this host is wrong: set it"),
    ("Invalid email or User ID", "the mailbox does not exist in this Google Workspace"),
    ("expired or revoked", "TOCSIN_OAUTH_REFRESH_TOKEN has expired or was revoked: create a new one"),
    ("unauthorized to retrieve", "the service account lacks domain-wide delegation for https://mail.google.com/"),
    ("invalid_client", "check TOCSIN_OAUTH_CLIENT_ID and its secret or certificate"),
    ("invalid_grant", "check the refresh token or the service account"),
)  # fmt: skip


class Purpose(StrEnum):
    """What a token is for: a token for one is refused by the others."""

    SMTP = "smtp"
    IMAP = "imap"
    GRAPH = "graph"


class TokenRefused(Exception):
    """There is no token. `is_temporary`: the token service could not be reached; otherwise the settings must be corrected."""

    def __init__(self, code: str, text: str, *, is_temporary: bool) -> None:
        super().__init__(f"{code}: {text}")
        self.code = code
        self.text = text
        self.is_temporary = is_temporary


@dataclass(frozen=True, slots=True)
class TokenRequest:
    """How a token is asked for: the address, and the fields of the form at a given time. `secrets` never appear in an error."""

    url: str
    form: Callable[[datetime], dict[str, str]] = field(repr=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class _Token:
    value: str = field(repr=False)
    renew_at: datetime
    ends_at: datetime


class AccessTokens:
    """Keeps one token in memory and renews it before it ends. Many tasks may ask at once; one request is made."""

    def __init__(self, request: TokenRequest, *, timeout_s: float = _TIMEOUT_S, clock: Clock = now) -> None:
        self._request = request
        self._timeout_s = timeout_s
        self._clock = clock
        self._lock = asyncio.Lock()
        self._token: _Token | None = None
        self._forgot_at: datetime | None = None
        self._refused: tuple[TokenRefused, datetime] | None = None

    async def token(self) -> str:
        """Return a token that is valid now. Raises TokenRefused, for half a minute without another request."""
        async with self._lock:
            at = self._clock()
            kept = self._token
            if kept is not None and at < kept.renew_at:
                return kept.value
            try:
                if self._refused is not None and at < self._refused[1]:
                    raise _copy(self._refused[0])
                self._token = await self._ask(at)
            except TokenRefused:
                if kept is None or at >= kept.ends_at:
                    raise
                return kept.value  # still valid, although it could not be renewed yet
            return self._token.value

    def forget(self, token: str) -> None:
        """Forget a token that a server refused, so that the next call gets a new one.

        Not twice within half a minute: if a new token is refused too, the token is not the cause.
        """
        at = self._clock()
        if self._token is None or self._token.value != token:
            return
        if self._forgot_at is None or at - self._forgot_at >= _PAUSE:
            self._token, self._forgot_at = None, at

    async def _ask(self, at: datetime) -> _Token:
        pause = timedelta(0)
        try:
            status, headers, body = await self._post(await asyncio.to_thread(self._form, at))
            pause = _wait_asked_for(headers.get("retry-after", ""))
            found = _read_answer(status, body, at, self._request.secrets)
        except TokenRefused as refused:
            self._refused = (refused, at + max(pause, _SHORT_PAUSE if refused.is_temporary else _PAUSE))
            raise
        self._refused = None
        return found

    def _form(self, at: datetime) -> dict[str, str]:
        try:
            return self._request.form(at)
        except BadSettings as wrong:  # a file that was replaced by one that cannot be used
            raise TokenRefused("settings", wrong.detail, is_temporary=False) from None

    async def _post(self, form: dict[str, str]) -> tuple[int, "httpx.Headers", bytes]:
        """POST the form and read the answer, of which at most 64 KiB are taken. Raises TokenRefused."""
        import httpx  # noqa: PLC0415  (most services ask for no token)

        tls = await asyncio.to_thread(ssl.create_default_context)
        try:
            with anyio.fail_after(self._timeout_s):
                async with (
                    httpx.AsyncClient(verify=tls, trust_env=False, timeout=self._timeout_s) as client,
                    client.stream("POST", self._request.url, data=form, headers=_HEADERS) as answer,
                ):
                    body = b""
                    async for piece in answer.aiter_raw():
                        body += piece
                        if len(body) > _LONGEST_ANSWER:
                            raise TokenRefused(
                                "answer", "the token service sends too long an answer", is_temporary=True
                            )
                    return answer.status_code, answer.headers, body
        except (TimeoutError, httpx.TimeoutException):
            text = f"the token service did not answer within {self._timeout_s:g} s"
            raise TokenRefused("timeout", text, is_temporary=True) from None
        except (httpx.HTTPError, OSError) as cause:
            words = _one_line(str(cause) or type(cause).__name__, ())
            raise TokenRefused("connect", f"the token service cannot be reached: {words}", is_temporary=True) from None


def build_access_tokens(
    settings: Settings, purpose: Purpose, *, mailbox: str | None = None, clock: Clock = now
) -> AccessTokens | None:
    """Return the source of tokens for `purpose`; None if no provider is set, or it has none for this purpose.

    `mailbox` is the account that a service account of Google acts as; Microsoft's tokens are for an app and do not name one.
    """
    if settings.oauth_provider == "microsoft":
        return AccessTokens(_microsoft(settings, purpose), clock=clock)
    if settings.oauth_provider == "google" and purpose is not Purpose.GRAPH:
        return AccessTokens(_google(settings, mailbox), clock=clock)
    return None


def _microsoft(settings: Settings, purpose: Purpose) -> TokenRequest:
    cloud = CLOUDS[settings.oauth_cloud]
    url = settings.oauth_token_url or f"{cloud.login}/{settings.oauth_tenant}/oauth2/v2.0/token"
    client_id = settings.oauth_client_id or ""
    form = {
        "grant_type": "client_credentials",
        "client_id": client_id,
        "scope": f"{cloud.graph if purpose is Purpose.GRAPH else cloud.outlook}/.default",
    }
    if settings.oauth_certificate_file is None:
        secret = settings.oauth_client_secret.get_secret_value() if settings.oauth_client_secret else ""
        return TokenRequest(url, lambda _: form | {"client_secret": secret}, (secret,))
    from authlib.oauth2.rfc7523 import private_key_jwt_sign  # noqa: PLC0415  (takes 0.2 s to import)
    from joserfc.jwk import RSAKey  # noqa: PLC0415

    path = settings.oauth_certificate_file
    read_client_certificate(path)

    def signed(at: datetime) -> dict[str, str]:
        certificate = read_client_certificate(path)  # each time: one that was replaced is used without a restart
        seconds = int(at.timestamp())
        assertion: str = private_key_jwt_sign(
            RSAKey.import_key(certificate.key),
            client_id,
            url,
            alg="PS256",
            header={"typ": "JWT", "x5t#S256": certificate.thumbprint},
            claims={"nbf": seconds},
            issued_at=seconds,
            expires_in=_ASSERTION_LIFE_S,
        )
        return form | {"client_assertion_type": _CLIENT_ASSERTION, "client_assertion": assertion}

    return TokenRequest(url, signed)


def _google(settings: Settings, mailbox: str | None) -> TokenRequest:
    url = settings.oauth_token_url or GOOGLE_TOKEN_URL
    if settings.oauth_service_account_file is None:
        secret = settings.oauth_client_secret.get_secret_value() if settings.oauth_client_secret else ""
        refresh = settings.oauth_refresh_token.get_secret_value() if settings.oauth_refresh_token else ""
        form = {
            "grant_type": "refresh_token",
            "client_id": settings.oauth_client_id or "",
            "client_secret": secret,
            "refresh_token": refresh,
        }
        return TokenRequest(url, lambda _: form, (secret, refresh))
    from authlib.oauth2.rfc7523 import JWTBearerGrant  # noqa: PLC0415  (takes 0.2 s to import)
    from joserfc.errors import JoseError  # noqa: PLC0415
    from joserfc.jwk import RSAKey  # noqa: PLC0415

    account = read_service_account(settings.oauth_service_account_file)
    try:
        key = RSAKey.import_key(account.key)
    except (JoseError, ValueError):
        raise BadSettings(
            "TOCSIN_OAUTH_SERVICE_ACCOUNT_FILE: its private key cannot be read; download the file again"
        ) from None

    def signed(at: datetime) -> dict[str, str]:
        assertion: str = JWTBearerGrant.sign(
            key,
            account.email,
            url,
            subject=mailbox,
            issued_at=int(at.timestamp()),
            claims={"scope": "https://mail.google.com/"},
            header={"alg": "RS256", "typ": "JWT", "kid": account.key_id},
            expires_in=_ASSERTION_LIFE_S,
        )
        return {"grant_type": _JWT_BEARER, "assertion": assertion}

    return TokenRequest(url, signed)


def _read_answer(status: int, body: bytes, at: datetime, secrets: tuple[str, ...]) -> _Token:
    """Return the token of an answer (RFC 6749 section 5). Raises TokenRefused."""
    try:
        found = json.loads(body)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        found = {}
    error = found.get("error")
    description = found.get("error_description")
    words = f": {_one_line(description, secrets)[:500]}" if isinstance(description, str) and description else ""
    if status >= _SERVER_FAULT or status in _WORTH_A_RETRY or error in _TEMPORARY:
        raise TokenRefused(str(status), f"the token service answers {status}{words}", is_temporary=True)
    if isinstance(error, str):
        error = _one_line(error, secrets)[:100]
        raise TokenRefused(error, _mend(error + words), is_temporary=False)
    token, kind = found.get("access_token"), found.get("token_type", "Bearer")
    if status // 100 != 2 or not isinstance(token, str) or not _TOKEN.fullmatch(token) or len(token) > _LONGEST_TOKEN:  # noqa: PLR2004
        raise TokenRefused(
            str(status), "the server at the address of the token service does not answer like one", is_temporary=False
        )
    if not isinstance(kind, str) or kind.lower() != "bearer":
        raise TokenRefused(
            "token_type", "the token service issues tokens of another type than Bearer", is_temporary=False
        )
    life = _life(found.get("expires_in"))
    return _Token(token, at + life - min(_RENEW_BEFORE, life / 5), at + life)


def _mend(words: str) -> str:
    mend = next((mend for part, mend in _MENDS if part in words), None)
    return words if mend is None else f"{mend}; the token service says: {words}"


def _one_line(text: str, secrets: tuple[str, ...]) -> str:
    for secret in secrets:
        text = text.replace(secret, "[secret]")
    return " ".join("".join(one if one.isprintable() else " " for one in text[:_LONGEST_WORDS]).split())


def _life(expires_in: object) -> timedelta:
    try:
        seconds = int(str(expires_in))
    except ValueError:
        return _USUAL_LIFE
    return min(max(timedelta(seconds=min(seconds, 10**6)), timedelta(seconds=1)), _LONGEST_LIFE)


def _wait_asked_for(header: str) -> timedelta:
    """Return the seconds that `Retry-After` asks for, at most ten minutes."""
    seconds = int(header[:6]) if header.isascii() and header.isdecimal() else 0
    return min(timedelta(seconds=seconds), _LONGEST_PAUSE)


def _copy(refused: TokenRefused) -> TokenRefused:
    """Return a new exception: one that is raised twice grows its traceback each time."""
    return TokenRefused(refused.code, refused.text, is_temporary=refused.is_temporary)
