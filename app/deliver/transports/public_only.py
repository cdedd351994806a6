"""Restricts webhooks to the public internet: a name is resolved once, and the connection goes to the address that was checked.

Without this, anyone who may set a webhook URL could make the service call the internal network, above all a cloud's metadata
service (server-side request forgery, CWE-918). Resolving only once also defeats a name that changes between check and use.
"""

import ipaddress
import socket
from asyncio import get_running_loop
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

import anyio
import httpcore

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolve = Callable[[str, int], Awaitable[list[IpAddress]]]
_MOST_TRIED = 4
RESOLVE_S = 5.0
LOOKUPS_MOST = 50  # running and waiting; with more than that the resolver counts as dead
# Own threads: a resolver that does not answer would use up asyncio's default threads, which SQLite and intake need.
_threads = ThreadPoolExecutor(4, thread_name_prefix="resolve")

# Our own lists, not ipaddress.is_global: what that says of an address differs between patch levels of Python.
# IANA IPv4 Special-Purpose Address Registry (RFC 6890), multicast (RFC 5771), reserved (RFC 1112), former 6to4 relays (RFC 7526).
_CLOSED_V4 = [
    ipaddress.IPv4Network(net)
    for net in (
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24",
        "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
        "168.63.129.16/32",  # Azure's own services, as seen from within a virtual machine
    )
]  # fmt: skip
# All IPv6 addresses in use lie in 2000::/3 (RFC 4291, IANA); these parts of it are special (RFC 6890, RFC 9637). 2001::/23 has Teredo.
# 2002::/16 is 6to4: the registry does not call it globally reachable, and RFC 7526 withdrew its relays, so no webhook can need it.
_OPEN_V6 = ipaddress.IPv6Network("2000::/3")
_CLOSED_V6 = [ipaddress.IPv6Network(net) for net in ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")]
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")  # RFC 6052: an IPv4 address in the last 32 bits


class NotPublic(httpcore.ConnectError):
    """The host has no address that webhooks may reach."""


class Unresolved(httpcore.ConnectError):
    """The resolver is too slow or overloaded, so the host's addresses are not known."""


def is_public(address: IpAddress) -> bool:
    """Return whether `address` belongs to a single host on the public internet. Of a NAT64 address, the embedded IPv4 address is checked."""
    if isinstance(address, ipaddress.IPv4Address):
        return not any(address in net for net in _CLOSED_V4)
    if address.scope_id is not None:
        return False
    if address in _NAT64:
        return is_public(ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF))
    return address in _OPEN_V6 and not any(address in net for net in _CLOSED_V6)


class PublicOnly(httpcore.AsyncNetworkBackend):
    """A network backend for httpcore that resolves a name once, drops addresses that are not public, and connects to the others."""

    def __init__(self, resolve: Resolve | None = None, is_allowed: Callable[[IpAddress], bool] = is_public) -> None:
        self._network = httpcore.AnyIOBackend()
        self._resolve = resolve or resolve_host
        self._lookups = 0
        self._is_allowed = is_allowed

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109  (named by httpcore)
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect to the first public address that accepts; TLS still verifies `host`. Raises NotPublic, Unresolved, or httpcore's ConnectError."""
        addresses = await self.look_up(host, port, timeout)
        share = None if timeout is None else timeout / len(addresses)
        for address in addresses[:-1]:
            try:
                return await self._network.connect_tcp(str(address), port, share, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                continue
        return await self._network.connect_tcp(str(addresses[-1]), port, share, local_address, socket_options)

    async def look_up(self, host: str, port: int, timeout: float | None) -> list[IpAddress]:  # noqa: ASYNC109  (as above)
        """Return the addresses of `host` that may be reached, for transports that open their own sockets. Raises NotPublic, Unresolved, ConnectError."""
        found = await self._look_up(host, port, RESOLVE_S if timeout is None else min(RESOLVE_S, timeout / 2))
        addresses = [address for address in found if self._is_allowed(address)][:_MOST_TRIED]
        if not addresses:
            raise NotPublic(f"{host} has no public address; TOCSIN_WEBHOOK_ALLOW_PRIVATE would allow private ones")
        return addresses

    async def _look_up(self, host: str, port: int, most_s: float) -> list[IpAddress]:
        try:
            return [ipaddress.ip_address(host)]  # needs no resolver and must not wait for a dead one
        except ValueError:
            pass
        if self._lookups >= LOOKUPS_MOST:
            raise Unresolved(f"{host} was not looked up: {LOOKUPS_MOST} other names are waiting for the resolver")
        self._lookups += 1
        try:
            with anyio.fail_after(most_s):
                return await self._resolve(host, port)
        except TimeoutError:
            raise Unresolved(f"the resolver did not answer for {host} within {most_s:g} s") from None
        finally:
            self._lookups -= 1

    async def sleep(self, seconds: float) -> None:
        """Wait; httpcore calls this between its connection attempts."""
        await self._network.sleep(seconds)


async def resolve_host(host: str, port: int) -> list[IpAddress]:
    """Return the host's addresses, also for `0x7f.1` and `2130706433`, which the resolver reads as 127.0.0.1. Raises ConnectError."""
    try:
        found = await get_running_loop().run_in_executor(
            _threads, lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        )
    except (OSError, UnicodeError) as cause:
        raise httpcore.ConnectError(f"cannot resolve {host}: {cause}") from cause
    return [ipaddress.ip_address(target[0]) for *_, target in found]
