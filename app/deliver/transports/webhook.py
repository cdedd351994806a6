"""The transport `webhook`: POSTs messages, signed as in the Standard Webhooks specification 1.0.0, without redirects and proxies.

2xx is Sent; 408, 425, 429 and 5xx are Temporary; every other status is Permanent, including redirects. Without a response, the
outcome is Temporary until the request was written completely, and Unknown after that.
"""

import asyncio
import base64
import hashlib
import hmac
import ipaddress
import ssl
from collections.abc import Callable

import httpcore

from app.core.clock import Clock, now
from app.core.hidden_modules import hidden
from app.deliver.transports.evidence import evidence
from app.deliver.transports.http_exchange import PostAnswer, open_pool, post, retry_after
from app.deliver.transports.public_only import IpAddress, NotPublic, Unresolved, is_public
from app.domain.attempt import Outcome, Permanent, Sent, Temporary
from app.domain.message import Parcel

with hidden("pygments"):  # its command line prints in colours with it: 5 MiB and a twentieth of a second of each start
    import httpx

_MAX_REQUESTS = 100
_SERVER_FAULT = 5
_NOT_SHOWN = "its answer is not shown, because it came from a private address"
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
        is_shown: Callable[[IpAddress], bool] = is_public,
    ) -> None:
        """Create it with `network` = PublicOnly(), or None to also reach private addresses.

        The answer's text is kept only if it came from an address that `is_shown`: whoever may set a webhook URL could otherwise read
        what services of the internal network say.
        """
        self._server_secret = server_secret
        self._timeout_s = timeout_s
        self._clock = clock
        self._is_shown = is_shown
        self._slots = asyncio.Semaphore(_MAX_REQUESTS)
        self._pool = open_pool(network, tls)

    async def send(self, parcel: Parcel) -> Outcome:
        """POST the body to the parcel's address."""
        url = _read_url(parcel.address)
        if isinstance(url, Permanent):
            return url
        try:
            async with self._slots:
                answer = await post(self._pool, url, self._headers(parcel), parcel.body, timeout_s=self._timeout_s)
        except NotPublic as cause:
            return Permanent("address", evidence(str(cause)))
        except Unresolved as cause:
            return Temporary("resolve", evidence(str(cause)))
        return self._judge(answer) if isinstance(answer, PostAnswer) else answer

    async def close(self) -> None:
        """Close pooled connections."""
        await self._pool.aclose()

    def _headers(self, parcel: Parcel) -> dict[str, str]:
        timestamp = int(self._clock().timestamp())
        message_id = parcel.message_id or parcel.id
        secret = signing_secret(self._server_secret, parcel.recipient_id)
        return {
            "content-type": "application/json",
            "user-agent": "Tocsin",
            "webhook-id": message_id,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": sign(secret, message_id, timestamp, parcel.body),
        }

    def _judge(self, answer: PostAnswer) -> Outcome:
        is_shown = _is_from(answer.sender, self._is_shown)
        code, words = str(answer.status), evidence(answer.body) if is_shown or not answer.body else _NOT_SHOWN
        if answer.status in _WORTH_A_RETRY or answer.status // 100 == _SERVER_FAULT:
            return Temporary(code, words, retry_after(answer.headers.get("retry-after", ""), self._clock()))
        match answer.status // 100:
            case 2:
                return Sent(code, words)
            case 3:
                target = answer.headers.get("location", "nothing") if is_shown else f"an address; {_NOT_SHOWN}"
                return Permanent(code, evidence("redirects are not followed; this one points to " + target))
            case _:
                return Permanent(code, words)


def _is_from(sender: str, is_shown: Callable[[IpAddress], bool]) -> bool:
    try:
        return is_shown(ipaddress.ip_address(sender))
    except ValueError:
        return False


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
