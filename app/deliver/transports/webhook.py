"""The transport `webhook`: POSTs messages, signed as in the Standard Webhooks specification 1.0.0, without redirects and proxies.

2xx is Sent; 408, 425, 429 and 5xx are Temporary; every other status is Permanent, including redirects. Without a response, the
outcome is Temporary until the request was written completely, and Unknown after that.
"""

import asyncio
import base64
import hashlib
import hmac
import json
import ssl
from collections.abc import Callable
from dataclasses import replace

import httpcore

from app.core.clock import Clock, now
from app.deliver.transport import cancelled_is_unsent
from app.deliver.transports.body_template import BadTemplate, render_body
from app.deliver.transports.chat_bodies import chat_body, cloud_event
from app.deliver.transports.http_caller import HttpCaller, ProgramRequest
from app.deliver.transports.public_only import IpAddress, is_public
from app.deliver.transports.unsealing import Unseal, wrong_secret
from app.domain.attempt import TEMPLATE_FAILED, Outcome
from app.domain.message import Parcel
from app.domain.transport_options import WebhookOptions

_JSON = "application/json"


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
        unseal: Unseal | None = None,
    ) -> None:
        """Create it with `network` = PublicOnly(), or None to also reach private addresses."""
        self._server_secret = server_secret
        self._clock = clock
        self._rendering = asyncio.Lock()
        self._unseal = unseal
        self._caller = HttpCaller(timeout_s, network=network, tls=tls, clock=clock, is_shown=is_shown)

    async def send(self, parcel: Parcel) -> Outcome:
        """POST the body to the parcel's address."""
        try:
            # In a thread, and one after the other: a template may take half a second of CPU, in which nothing else would be sent
            with cancelled_is_unsent():
                if isinstance(parcel.options, WebhookOptions) and parcel.options.template is not None:
                    async with self._rendering:
                        request, failed = await asyncio.to_thread(self._request, parcel)
                else:
                    request, failed = self._request(parcel)
        except ValueError as cause:
            return wrong_secret(cause)
        outcome = await self._caller.call(request)
        return replace(outcome, text=f"{failed}; {outcome.text}") if failed else outcome

    def preview(self, parcel: Parcel) -> str:
        """Return the request as it would be sent now; the signature is left out, because a preview is no message."""
        request, failed = self._request(parcel)
        hidden = (*request.secret_headers, "webhook-signature")
        return (f"{failed}\n\n" if failed else "") + replace(request, secret_headers=hidden).shown()

    async def close(self) -> None:
        """Close pooled connections."""
        await self._caller.close()

    def _request(self, parcel: Parcel) -> tuple[ProgramRequest, str]:
        """Return the request, and why the standard document is sent where the owner's template failed."""
        options = parcel.options if isinstance(parcel.options, WebhookOptions) else WebhookOptions()
        timestamp = int(self._clock().timestamp())
        message_id = parcel.message_id or parcel.id
        secret = signing_secret(self._server_secret, parcel.recipient_id)
        body, content_type, failed = _body(parcel, message_id, options)
        secrets = {} if self._unseal is None else {n: self._unseal(text) for n, text in options.secret_headers.items()}
        headers = {
            **options.headers,
            **secrets,
            "content-type": content_type,
            "user-agent": "Tocsin",
            "webhook-id": message_id,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": sign(secret, message_id, timestamp, body),
        }
        return ProgramRequest(parcel.address, headers, body, tuple(secrets)), failed


def _body(parcel: Parcel, message_id: str, options: WebhookOptions) -> tuple[bytes, str, str]:
    """Return the body, its type, and why it is the standard one where the owner's template failed."""
    if options.template is None and options.format == "standard":
        return parcel.body, _JSON, ""
    document = json.loads(parcel.body)
    if options.template is not None:
        try:
            return render_body(options.template, document), _JSON, ""
        except BadTemplate as cause:
            return parcel.body, _JSON, f"{TEMPLATE_FAILED}: {cause}"
    if options.format == "cloudevents":
        return cloud_event(document, message_id), "application/cloudevents+json", ""
    return chat_body(options.format, document), _JSON, ""
