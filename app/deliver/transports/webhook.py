"""The transport `webhook`: POSTs messages, signed as in the Standard Webhooks specification 1.0.0, without redirects and proxies.

2xx is Sent; 408, 425, 429 and 5xx are Temporary; every other status is Permanent, including redirects. Without a response, the
outcome is Temporary until the request was written completely, and Unknown after that.
"""

import base64
import hashlib
import hmac
import ssl
from collections.abc import Callable
from dataclasses import replace

import httpcore

from app.core.clock import Clock, now
from app.deliver.transports.http_caller import HttpCaller, ProgramRequest
from app.deliver.transports.public_only import IpAddress, is_public
from app.domain.attempt import Outcome
from app.domain.message import Parcel


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
        """Create it with `network` = PublicOnly(), or None to also reach private addresses."""
        self._server_secret = server_secret
        self._clock = clock
        self._caller = HttpCaller(timeout_s, network=network, tls=tls, clock=clock, is_shown=is_shown)

    async def send(self, parcel: Parcel) -> Outcome:
        """POST the body to the parcel's address."""
        return await self._caller.call(self._request(parcel))

    def preview(self, parcel: Parcel) -> str:
        """Return the request as it would be sent now; the signature is left out, because a preview is no message."""
        return replace(self._request(parcel), secret_headers=("webhook-signature",)).shown()

    async def close(self) -> None:
        """Close pooled connections."""
        await self._caller.close()

    def _request(self, parcel: Parcel) -> ProgramRequest:
        timestamp = int(self._clock().timestamp())
        message_id = parcel.message_id or parcel.id
        secret = signing_secret(self._server_secret, parcel.recipient_id)
        headers = {
            "content-type": "application/json",
            "user-agent": "Tocsin",
            "webhook-id": message_id,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": sign(secret, message_id, timestamp, parcel.body),
        }
        return ProgramRequest(parcel.address, headers, parcel.body)
