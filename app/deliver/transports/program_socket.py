"""One exchange over TCP or TLS with a program that does not speak HTTP, through the one rule about private addresses."""

import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import anyio
import httpcore

from app.deliver.transports.evidence import evidence
from app.deliver.transports.public_only import NotPublic, PublicOnly, Unresolved
from app.domain.attempt import Outcome, Permanent, Temporary, Unknown


@dataclass(frozen=True, slots=True)
class SocketExchange:
    """What is written to a host, and how the answer is read; without `read`, none is expected. `read` raises ValueError for nonsense."""

    host: str
    port: int
    data: bytes
    tls: ssl.SSLContext | None = None
    read: Callable[[httpcore.AsyncNetworkStream], Awaitable[Outcome]] | None = None


async def exchange(network: PublicOnly, what: SocketExchange, *, written: Outcome, timeout_s: float) -> Outcome:
    """Write and read. Returns `written` where no answer is expected; Temporary until anything was written, Unknown after that."""
    is_begun = False
    try:
        with anyio.fail_after(timeout_s):
            stream = await network.connect_tcp(what.host, what.port, timeout_s)
            try:
                if what.tls is not None:
                    stream = await stream.start_tls(what.tls, what.host, timeout_s)
                is_begun = True
                await stream.write(what.data, timeout_s)
                return written if what.read is None else await what.read(stream)
            finally:
                with anyio.CancelScope(shield=True), anyio.move_on_after(1):
                    await stream.aclose()
    except NotPublic as cause:
        return Permanent("address", evidence(str(cause)))
    except Unresolved as cause:
        return Temporary("resolve", evidence(str(cause)))
    except ValueError as cause:
        return Unknown("answer", evidence(str(cause)))
    except TimeoutError:
        code, words = "timeout", f"no answer within {timeout_s:g} s"
    except (httpcore.NetworkError, httpcore.TimeoutException, OSError) as cause:
        code, words = "disconnect" if is_begun else "connect", evidence(str(cause) or type(cause).__name__)
    return Unknown(code, words) if is_begun else Temporary(code, words)
