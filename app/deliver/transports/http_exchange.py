"""One POST request over a pool of connections, for the transports that speak HTTP, and what is known if no answer comes.

httpcore instead of an httpx client: no redirects, proxies, netrc or cookies to turn off, and it accepts our network backend.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

import anyio
import httpcore

from app.deliver.transport import Unsent
from app.deliver.transports.bounded_network import BoundedNetwork
from app.deliver.transports.evidence import LIMIT, evidence
from app.deliver.transports.public_only import NotPublic, Unresolved
from app.domain.attempt import Temporary, Unknown

if TYPE_CHECKING:
    import httpx

_MAX_IDLE = 20
_PIECE = 64 * 1024
_MAX_IDLE_S = 5.0
_LONGEST_WAIT = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class PostAnswer:
    """An answer: its status, its headers by small names, the start of its body, and the address that it came from, if known.

    `secrets`: parts of the request that no reader of the attempt may see, although many servers repeat them.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    sender: str = ""
    secrets: Sequence[str] = field(default=(), repr=False)


@dataclass(slots=True)
class _Progress:
    """How far a request got. Once `is_written`, the receiver may have processed it."""

    is_begun: bool = field(default=False)
    is_written: bool = field(default=False)

    async def note(self, step: str, _: Mapping[str, Any]) -> None:
        """Note a step; httpcore calls this at each one (its extension "trace")."""
        if step.endswith("send_request_body.started"):
            self.is_begun = True
        if step.endswith("send_request_body.complete"):
            self.is_written = True


def open_pool(network: httpcore.AsyncNetworkBackend | None, tls: ssl.SSLContext | None) -> httpcore.AsyncConnectionPool:
    """Return a pool of connections, which verify certificates against the system's authorities unless `tls` says otherwise."""
    return httpcore.AsyncConnectionPool(
        ssl_context=tls or ssl.create_default_context(),
        max_connections=None,  # limited by the caller: a request cancelled in httpcore's own queue would occupy a place for ever
        max_keepalive_connections=_MAX_IDLE,
        keepalive_expiry=_MAX_IDLE_S,
        network_backend=BoundedNetwork(network or httpcore.AnyIOBackend()),
    )


async def post(
    pool: httpcore.AsyncConnectionPool,
    url: "httpx.URL",
    headers: Mapping[str, str],
    body: bytes,
    *,
    timeout_s: float,
    method: str = "POST",
) -> PostAnswer | Temporary | Unknown:
    """POST `body` and return the answer: without one Temporary until the request was written, Unknown after that.

    `timeout_s` limits the whole exchange, from name resolution to the start of the answer. Raises Unsent if it is cancelled before
    the body was begun, and NotPublic or Unresolved where the pool's network backend does.
    """
    progress = _Progress()
    try:
        with anyio.fail_after(
            timeout_s
        ):  # not asyncio.timeout: httpcore cleans its pool up inside anyio's shielded scopes
            request = pool.stream(
                method,
                httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
                headers=[
                    (b"host", url.netloc),
                    *((name.encode(), value.encode()) for name, value in headers.items()),
                    (b"content-length", b"%d" % len(body)),
                ],
                content=_pieces(body),
                extensions={"trace": progress.note, "timeout": {"connect": timeout_s}},
            )
            async with request as response:
                named = {name.lower().decode("latin-1"): value.decode("latin-1") for name, value in response.headers}
                sender = response.extensions["network_stream"].get_extra_info("server_addr") or ("",)
                start = await _read_start(response, within_s=timeout_s / 3)
                return PostAnswer(response.status, named, start, str(sender[0]))
    except asyncio.CancelledError as stop:
        if progress.is_begun:
            raise
        raise Unsent from stop
    except (NotPublic, Unresolved):
        raise
    except TimeoutError:
        code, words = "timeout", f"no answer within {timeout_s:g} s"
    except httpcore.LocalProtocolError:
        # Its own text quotes the header, which can be a password: that must not be in an attempt, which every reader sees.
        words = "the request could not be written: a header has characters that HTTP does not allow"
        return Unknown("header", words) if progress.is_begun else Temporary("header", words, is_hopeless_here=True)
    except (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError, OSError) as cause:
        code, words = "disconnect" if progress.is_written else "connect", evidence(str(cause) or type(cause).__name__)
    return Unknown(code, words) if progress.is_written else Temporary(code, words)


async def _pieces(body: bytes) -> AsyncIterator[bytes]:
    """Cut the body: a connection that ends within one piece is noticed at the next, so that the request is known not to be whole."""
    for start in range(0, len(body), _PIECE):
        yield body[start : start + _PIECE]


def retry_after(header: str, at: datetime) -> timedelta | None:
    """Parse Retry-After, seconds or a date (RFC 9110 section 10.2.3). Returns at most one hour; None if it is neither."""
    header = header.strip()
    if header.isascii() and header.isdecimal():
        return min(timedelta(seconds=min(int(header[:9]), 999_999)), _LONGEST_WAIT)
    try:
        when = parsedate_to_datetime(header)
    except (ValueError, OverflowError):
        return None
    aware = when if when.tzinfo else when.replace(tzinfo=UTC)
    return min(max(aware - at, timedelta(0)), _LONGEST_WAIT)


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
