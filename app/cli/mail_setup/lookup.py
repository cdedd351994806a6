"""Looks up where a domain receives and submits mail: MX and SRV records (RFC 5321 section 5.1, RFC 6186, RFC 8314), in bounded time."""

import asyncio
import ipaddress
from dataclasses import dataclass

from dns.asyncresolver import Resolver
from dns.exception import DNSException
from dns.name import Name
from dns.rdtypes.ANY.MX import MX
from dns.rdtypes.IN.SRV import SRV
from dns.resolver import NXDOMAIN, NoAnswer

LOOKUP_S = 5.0
# RFC 6761, RFC 6762 and ICANN's `internal`: no public DNS knows them.
_NOT_PUBLIC = ("localhost", "test", "invalid", "example", "local", "internal")


@dataclass(frozen=True, slots=True)
class MailRecords:
    """The mail servers of a domain, the preferred one first; where it submits mail as `host:port`; or why nothing is known."""

    mx: tuple[str, ...] = ()
    submission: str | None = None
    failure: str | None = None


def read_name_server(text: str) -> Resolver:
    """Return a resolver that asks the DNS server `ADDRESS` or `ADDRESS:PORT`. Raises ValueError."""
    host, _, port = text.rpartition(":") if text.count(":") == 1 else (text, "", "")
    resolver = Resolver(configure=False)
    resolver.nameservers = [str(ipaddress.ip_address(host))]
    resolver.port = int(port or 53)
    return resolver


async def look_up(domain: str, resolver: Resolver | None) -> MailRecords:
    """Return the records of a domain; without a resolver, the system's DNS servers are asked. Takes `LOOKUP_S` seconds at most."""
    if domain.rpartition(".")[2].lower() in _NOT_PUBLIC or "." not in domain or domain.startswith("["):
        return MailRecords(failure=f"{domain} is not a name of the public DNS")
    try:
        resolver = resolver or Resolver()
        async with asyncio.timeout(LOOKUP_S):
            found, over_tls, with_starttls = await asyncio.gather(
                _exchanges(resolver, domain),
                _services(resolver, f"_submissions._tcp.{domain}"),
                _services(resolver, f"_submission._tcp.{domain}"),
            )
    except (DNSException, OSError, TimeoutError) as cause:
        return MailRecords(failure=f"DNS has no answer about {domain} ({str(cause) or 'it took too long'})")
    submissions = [*over_tls, *with_starttls]  # TLS from the first byte is preferred (RFC 8314 section 5.1)
    return MailRecords(tuple(found), submissions[0] if submissions else None)


async def _exchanges(resolver: Resolver, domain: str) -> list[str]:
    """Return the names of the mail servers; a null MX (RFC 7505) is none."""
    try:
        answer = await resolver.resolve(domain, "MX", lifetime=LOOKUP_S)
    except (NXDOMAIN, NoAnswer):
        return []
    records = sorted((record.preference, _text(record.exchange)) for record in answer if isinstance(record, MX))
    return [name for _, name in records if name]


async def _services(resolver: Resolver, name: str) -> list[str]:
    """Return `host:port` of each SRV record; the target `.` means that there is no such service (RFC 2782)."""
    try:
        answer = await resolver.resolve(name, "SRV", lifetime=LOOKUP_S)
    except (NXDOMAIN, NoAnswer):
        return []
    records = sorted(
        (record.priority, -record.weight, _text(record.target), record.port)
        for record in answer
        if isinstance(record, SRV)
    )
    return [f"{target}:{port}" for _, _, target, port in records if target]


def _text(name: Name) -> str:
    return name.to_text(omit_final_dot=True).lower().removeprefix(".")
