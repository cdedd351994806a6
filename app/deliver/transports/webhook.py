"""The transport `webhook`: POSTs messages, signed as in the Standard Webhooks specification 1.0.0, without redirects and proxies.

2xx is Sent; 408, 425, 429 and 5xx are Temporary; every other status is Permanent, including redirects. Without a response, the
outcome is Temporary until the request was written completely, and Unknown after that.
"""

import asyncio
import base64
import hashlib
import hmac
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import anyio
import httpcore
import httpx

from app.core.clock import Clock, now
from app.deliver.transports.evidence import LIMIT, evidence
from app.deliver.transports.public_only import NotPublic, Unresolved
from app.domain.attempt import Outcome, Permanent, Sent, Temporary, Unknown
from app.domain.message import Parcel

_MAX_REQUESTS = 100
_MAX_IDLE = 20
_MAX_IDLE_S = 5.0
_LONGEST_WAIT = timedelta(hours=1)
_SERVER_FAULT = 5
_WORTH_A_RETRY = (408, 425, 429)  # RFC 9110 section 15.5.9, RFC 8470, RFC 6585


def signing_secret(server_secret: bytes, recipient_id: str) -> str:
    """Return the recipient's signing secret: `whsec_` and 32 bytes as base64. It is derived, so no secret is stored."""
    return (
        "whsec_" + base64.b64encode(hmac.digest(server_secret, b"webhook:" + recipient_id.encode(), "sha256")).decode()
    )


def sign(secret: str, message_id: str, timestamp: int, body: bytes) -> str:
    """Return the `webhook-signature` header: `v1,` and the base64 of HMAC-SHA256 over `id.timestamp.body` (Standard Webhooks 1.0.0, "Signature scheme")."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = hmac.new(key, f"{message_id}.{timestamp}.".encode() + body, hashlib.sha256).digest()
    return "v1," + base64.b64encode(signed).decode()


@dataclass(slots=True)
class _Progress:
    """How far a request got. Once `is_written`, the receiver may have processed it."""

    is_written: bool = False

    async def note(self, step: str, _: Mapping[str, Any]) -> None:
        """Note a step; httpcore calls this at each one (its extension "trace")."""
        if step.endswith("send_request_body.complete"):
            self.is_written = True


class WebhookTransport:
    """POSTs each message. `timeout_s` limits the whole exchange, from name resolution to the start of the response."""

    def __init__(
        self,
        server_secret: bytes,
        timeout_s: float,
        *,
        network: httpcore.AsyncNetworkBackend | None,
        tls: ssl.SSLContext | None = None,
        clock: Clock = now,
    ) -> None:
        """Create it with `network` = PublicOnly(), or None to also reach private addresses."""
        self._server_secret = server_secret
        self._timeout_s = timeout_s
        self._clock = clock
        self._slots = asyncio.Semaphore(_MAX_REQUESTS)
        # httpcore instead of an httpx client: no redirects, proxies, netrc or cookies to turn off, and it accepts our network backend.
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=tls or ssl.create_default_context(),
            max_connections=None,  # limited by `_slots`: a request cancelled in httpcore's own queue would occupy a place for ever
            max_keepalive_connections=_MAX_IDLE,
            keepalive_expiry=_MAX_IDLE_S,
            network_backend=network,
        )

    async def send(self, parcel: Parcel) -> Outcome:
        """POST the body to the parcel's address."""
        url = _read_url(parcel.address)
        if isinstance(url, Permanent):
            return url
        progress = _Progress()
        try:
            async with self._slots:
                with anyio.fail_after(
                    self._timeout_s
                ):  # not asyncio.timeout: httpcore cleans its pool up inside anyio's shielded scopes
                    return await self._exchange(url, parcel, progress)
        except NotPublic as cause:
            return Permanent("address", evidence(str(cause)))
        except Unresolved as cause:
            return Temporary("resolve", evidence(str(cause)))
        except TimeoutError:
            code, words = "timeout", f"no answer within {self._timeout_s:g} s"
        except (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError, OSError) as cause:
            code, words = (
                "disconnect" if progress.is_written else "connect",
                evidence(str(cause) or type(cause).__name__),
            )
        return Unknown(code, words) if progress.is_written else Temporary(code, words)

    async def close(self) -> None:
        """Close pooled connections."""
        await self._pool.aclose()

    async def _exchange(self, url: httpx.URL, parcel: Parcel, progress: _Progress) -> Outcome:
        timestamp = int(self._clock().timestamp())
        message_id = parcel.message_id or parcel.id
        signature = sign(signing_secret(self._server_secret, parcel.recipient_id), message_id, timestamp, parcel.body)
        headers = {
            "content-type": "application/json",
            "user-agent": "Tocsin",
            "webhook-id": message_id,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": signature,
        }
        request = self._pool.stream(
            "POST",
            httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
            headers=[(b"host", url.netloc), *((name.encode(), value.encode()) for name, value in headers.items())],
            content=parcel.body,
            extensions={"trace": progress.note, "timeout": {"connect": self._timeout_s}},
        )
        async with request as response:
            words = evidence(await _read_start(response, within_s=self._timeout_s / 3))
            return self._judge(response.status, {name.lower(): value for name, value in response.headers}, words)

    def _judge(self, status: int, headers: Mapping[bytes, bytes], words: str) -> Outcome:
        code = str(status)
        if status in _WORTH_A_RETRY or status // 100 == _SERVER_FAULT:
            return Temporary(
                code, words, retry_after(headers.get(b"retry-after", b"").decode("latin-1"), self._clock())
            )
        match status // 100:
            case 2:
                return Sent(code, words)
            case 3:
                target = headers.get(b"location", b"nothing")
                return Permanent(code, evidence(b"redirects are not followed; this one points to " + target))
            case _:
                return Permanent(code, words)


def retry_after(header: str, at: datetime) -> timedelta | None:
    """Parse Retry-After, seconds or a date (RFC 9110 section 10.2.3). Returns at most one hour; None if it is neither."""
    header = header.strip()
    if header.isascii() and header.isdigit():
        return min(timedelta(seconds=min(int(header[:9]), 999_999)), _LONGEST_WAIT)
    try:
        when = parsedate_to_datetime(header)
    except (ValueError, OverflowError):
        return None
    aware = when if when.tzinfo else when.replace(tzinfo=UTC)
    return min(max(aware - at, timedelta(0)), _LONGEST_WAIT)


def _read_url(address: str) -> httpx.URL | Permanent:
    try:
        url = httpx.URL(address)
    except (httpx.InvalidURL, ValueError):
        return Permanent("address", "is not a URL")
    if url.scheme not in ("http", "https") or not url.host:
        return Permanent("address", "only http and https URLs are called")
    if url.userinfo:
        return Permanent("address", "a URL with a user or password is not called, because it would appear in logs")
    return url


async def _read_start(response: httpcore.Response, *, within_s: float) -> bytes:
    """Read at most 2 KiB of the response body, as evidence. The status is known already, so a body that breaks off changes nothing."""
    head = b""
    try:
        with anyio.fail_after(within_s):
            async for chunk in response.aiter_stream():
                head += chunk
                if len(head) >= LIMIT:
                    break
    except (TimeoutError, httpcore.NetworkError, httpcore.ProtocolError, OSError):
        pass
    return head[:LIMIT]
