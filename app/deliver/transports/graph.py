"""The transport `graph`: hands mails to Exchange Online by Microsoft Graph's `sendMail`, as MIME in base64.

Source: https://learn.microsoft.com/graph/api/user-sendmail and https://learn.microsoft.com/graph/outlook-send-mime-message. 202
means that Exchange Online took the mail; a mail that it cannot pass on comes back to the mailbox later. The mail's own bytes are
sent, so Message-ID, threads and Auto-Submitted are those of every other transport.
"""

import asyncio
import base64
import email
import re
import uuid
from dataclasses import replace
from datetime import timedelta
from email import policy
from email.headerregistry import Address
from email.message import EmailMessage
from typing import Self
from urllib.parse import quote

import idna

from app.core.clock import Clock, now
from app.core.errors import BadSettings
from app.core.hidden_modules import hidden
from app.core.oauth_settings import CLOUDS
from app.core.settings import Settings
from app.deliver.access_tokens import AccessTokens, Purpose, TokenRefused, build_access_tokens
from app.deliver.transport import GRAPH_CONCURRENT, cancelled_is_unsent
from app.deliver.transports.graph_answer import judge
from app.deliver.transports.http_exchange import PostAnswer, open_pool, post
from app.domain.attempt import Outcome, Permanent, Temporary, Unknown
from app.domain.message import Parcel

with hidden("pygments"):  # as in http_caller
    import httpx

LARGEST_REQUEST = 4 * 1024 * 1024  # bytes: https://learn.microsoft.com/graph/use-the-api
MEND_PAUSE = timedelta(seconds=30)  # after a refusal that is the same for every message
_TIMEOUT_S = 60.0
_UNAUTHORIZED = 401
_ADDRESS = re.compile(r'[^\s<>@"\x00-\x1f\x7f]+@[^\s<>@"\x00-\x1f\x7f]+')
_TO = re.compile(rb"(?im)^to:[^\n]*\n(?:[ \t][^\n]*\n)*")


class GraphTransport:
    """Sends mail from one mailbox. Many tasks may send at once; four requests are under way, the others wait."""

    def __init__(
        self, root: str, mailbox: str, tokens: AccessTokens, *, timeout_s: float = _TIMEOUT_S, clock: Clock = now
    ) -> None:
        self._url = httpx.URL(f"{root.rstrip('/')}/v1.0/users/{quote(mailbox, safe='@')}/sendMail")
        self._tokens = tokens
        self._timeout_s = timeout_s
        self._clock = clock
        self._slots = asyncio.Semaphore(GRAPH_CONCURRENT)
        self._pool = open_pool(None, None)
        self._pause: tuple[Temporary, float] | None = None

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """Create it from the settings. Raises BadSettings with the name of the wrong setting."""
        tokens = build_access_tokens(settings, Purpose.GRAPH)
        if settings.graph_mailbox is None or tokens is None:
            raise BadSettings("TOCSIN_GRAPH_MAILBOX: needs TOCSIN_OAUTH_PROVIDER=microsoft")
        return cls(settings.graph_url or CLOUDS[settings.oauth_cloud].graph, settings.graph_mailbox, tokens)

    async def send(self, parcel: Parcel) -> Outcome:
        """Hand one mail over. A token that is refused is replaced once."""
        if not _ADDRESS.fullmatch(parcel.address):
            return Permanent("address", "is not a mail address")
        body = base64.b64encode(addressed_to(parcel.body, parcel.address))
        if len(body) > LARGEST_REQUEST:
            return Permanent("size", f"{len(body)} bytes in base64; Microsoft Graph takes at most {LARGEST_REQUEST}")
        with cancelled_is_unsent():
            await self._slots.acquire()
        try:
            return self._paused() or await self._send(body)
        finally:
            self._slots.release()

    async def close(self) -> None:
        """Close pooled connections."""
        await self._pool.aclose()

    async def _send(self, body: bytes) -> Outcome:
        try:
            with cancelled_is_unsent():
                token = await self._tokens.token()
            answer, request_id = await self._post(body, token)
            if isinstance(answer, PostAnswer) and answer.status == _UNAUTHORIZED:
                self._tokens.forget(token)
                with cancelled_is_unsent():
                    renewed = await self._tokens.token()
                if renewed != token:
                    answer, request_id = await self._post(body, renewed)
        except TokenRefused as refused:
            return Temporary("token", refused.text, is_hopeless_here=not refused.is_temporary)
        if not isinstance(answer, PostAnswer):
            return replace(answer, text=f"{answer.text}; client-request-id {request_id}")
        outcome = judge(answer, request_id, self._clock())
        if isinstance(outcome, Temporary):
            wait = outcome.retry_after or (MEND_PAUSE if outcome.is_hopeless_here else None)
            if wait:
                self._pause = outcome, asyncio.get_running_loop().time() + wait.total_seconds()
        return outcome

    async def _post(self, body: bytes, token: str) -> tuple[PostAnswer | Temporary | Unknown, str]:
        request_id = str(uuid.uuid4())
        headers = {
            "authorization": f"Bearer {token}",
            "content-type": "text/plain",
            "client-request-id": request_id,
            "user-agent": "Tocsin",
        }
        return await post(self._pool, self._url, headers, body, timeout_s=self._timeout_s), request_id

    def _paused(self) -> Temporary | None:
        """Return the last refusal while it holds for every message: throttled requests count as requests, and refused logins are counted."""
        left = 0.0 if self._pause is None else self._pause[1] - asyncio.get_running_loop().time()
        if self._pause is None or left <= 0:
            return None
        return replace(self._pause[0], retry_after=timedelta(seconds=left))


def addressed_to(mail: bytes, address: str) -> bytes:
    """Return the mail unchanged if `address` is its only recipient; otherwise with another `To`.

    Graph sends to the addresses in the headers. A recipient with several transports may have another address for each, and the
    bytes were made for the first.
    """
    head, end, rest = mail.partition(b"\r\n\r\n")
    found = email.message_from_string((head + end).decode("utf-8", "replace"), policy=policy.SMTPUTF8)
    recipients = [one.addr_spec for header in found.get_all("to", []) for one in header.addresses]
    wanted = _ascii_domain(address)
    if recipients == [wanted]:
        return mail
    made = EmailMessage(policy=policy.SMTP if wanted.isascii() else policy.SMTPUTF8)
    local, _, domain = wanted.rpartition("@")
    made["To"] = Address("", local, domain)
    line = made.as_bytes().partition(b"\r\n\r\n")[0] + b"\r\n"
    others = _TO.sub(b"", head + b"\r\n")
    return others + line + b"\r\n" + rest


def _ascii_domain(address: str) -> str:
    local, _, domain = address.rpartition("@")
    try:
        return f"{local}@{domain if domain.isascii() else idna.encode(domain, uts46=True).decode('ascii')}"
    except idna.IDNAError:
        return address
