"""Microsoft Graph's `sendMail` as it is published: it checks the token, the mailbox, the type and the mail, and fails on demand.

It was written by https://learn.microsoft.com/graph/api/user-sendmail and not compared with Microsoft's service.
"""

import asyncio
import base64
import binascii
import email
import json
import ssl
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from email import policy

from tests.support.token_server import CLIENT_ID, GRAPH_SCOPE, SECRET, TENANT, TokenServer, address_of, token_server

MAILBOX = "tocsin@example.org"
LARGEST = 4 * 1024 * 1024


@dataclass(slots=True)
class GraphServer:
    """Keeps the mails that it took, as bytes, and the headers of each request.

    `fault`: `before_body` or `after_body` closes the connection there, `silent` never answers, `answer` is sent in place of the
    right one (status, body, headers).
    """

    tokens: TokenServer
    mailboxes: tuple[str, ...] = (MAILBOX,)
    fault: str | None = None
    answer: tuple[int, bytes, dict[str, str]] | None = None
    delay_s: float = 0.0
    revoked: set[str] = field(default_factory=set)
    mails: list[bytes] = field(default_factory=list)
    requests: list[dict[str, str]] = field(default_factory=list)
    most_at_once: int = 0
    port: int = 0
    _at_once: int = 0
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)

    @property
    def url(self) -> str:
        return address_of(self.port, self.tokens.tls)

    @property
    def settings(self) -> dict[str, str]:
        """The settings of a service that sends here."""
        return {
            "oauth_provider": "microsoft",
            "oauth_tenant": TENANT,
            "oauth_client_id": CLIENT_ID,
            "oauth_client_secret": SECRET,
            "oauth_token_url": self.tokens.url,
            "graph_mailbox": MAILBOX,
            "graph_url": self.url,
            "mail_from": f"Tocsin <{MAILBOX}>",
        }

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
                headers = {
                    name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)
                }
                self.requests.append(headers | {"request-line": head[0]})
                if self.fault == "before_body":
                    return
                self._at_once += 1
                self.most_at_once = max(self.most_at_once, self._at_once)
                try:
                    body = await reader.readexactly(int(headers["content-length"]))
                    await asyncio.sleep(self.delay_s)
                finally:
                    self._at_once -= 1
                if self.fault == "after_body":
                    return
                if self.fault == "silent":
                    await asyncio.sleep(3600)
                status, answer, extra = self.answer or self._judge(head[0], headers, body)
                extra = {"request-id": f"req-{len(self.requests)}", **extra}
                lines = [f"HTTP/1.1 {status} Answer", f"content-length: {len(answer)}"]
                lines += [f"{name}: {value}" for name, value in extra.items()]
                writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + answer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self._writers.discard(writer)
            writer.close()

    def _judge(self, line: str, headers: dict[str, str], body: bytes) -> tuple[int, bytes, dict[str, str]]:
        token = headers.get("authorization", "").removeprefix("Bearer ")
        if self.tokens.given.get(token) != GRAPH_SCOPE or token in self.revoked:
            return refused(401, "InvalidAuthenticationToken", "Access token validation failure.")
        if line not in {f"POST /v1.0/users/{mailbox}/sendMail HTTP/1.1" for mailbox in self.mailboxes}:
            return refused(404, "ErrorInvalidUser", "The requested user is invalid.")
        wrong = self._wrong_mail(headers, body)
        return wrong or (202, b"", {})

    def _wrong_mail(self, headers: dict[str, str], body: bytes) -> tuple[int, bytes, dict[str, str]] | None:
        if len(body) > LARGEST:
            return refused(413, "RequestEntityTooLarge", "The request is too large.")
        if headers.get("content-type") != "text/plain":
            return refused(400, "RequestBodyRead", "A JSON object was expected.")
        try:
            raw = base64.b64decode(body, validate=True)
        except binascii.Error:
            return refused(400, "ErrorMimeContentInvalidBase64String", "Invalid base64 string for MIME content.")
        mail = email.message_from_bytes(raw, policy=policy.SMTP)
        if not mail["to"] or not mail["to"].addresses:
            return refused(400, "ErrorInvalidRecipients", "At least one recipient isn't valid.")
        if mail["from"] is not None and mail["from"].addresses[0].addr_spec != MAILBOX:
            return refused(
                403, "ErrorSendAsDenied", "The account does not have the right to send mail as this account."
            )
        self.mails.append(raw)
        return None

    def revoke_all(self) -> None:
        self.revoked |= set(self.tokens.given)

    async def stop(self) -> None:
        for writer in list(self._writers):
            writer.transport.abort()
        await asyncio.sleep(0.01)  # the transports close in the next iteration of the event loop


def refused(status: int, code: str, message: str) -> tuple[int, bytes, dict[str, str]]:
    return status, json.dumps({"error": {"code": code, "message": message, "innerError": {}}}).encode(), {}


@asynccontextmanager
async def graph_server(tls: ssl.SSLContext | None = None) -> AsyncIterator[GraphServer]:
    async with token_server(tls=tls) as tokens:
        server = GraphServer(tokens)
        listener = await asyncio.start_server(server.serve, "127.0.0.1", 0, ssl=tls)
        server.port = listener.sockets[0].getsockname()[1]
        try:
            yield server
        finally:
            listener.close()
            await server.stop()


@contextmanager
def graph_server_in_thread() -> Iterator[GraphServer]:
    """Run the server in a thread, for a test that is not async."""
    ready, found = threading.Event(), []

    async def run() -> None:
        async with graph_server() as server:
            stop = asyncio.Event()
            found.extend([server, asyncio.get_running_loop(), stop])
            ready.set()
            await stop.wait()

    thread = threading.Thread(target=lambda: asyncio.run(run()))
    thread.start()
    assert ready.wait(10)
    server, loop, stop = found
    call: Callable[..., object] = loop.call_soon_threadsafe
    try:
        yield server
    finally:
        call(stop.set)
        thread.join(10)
