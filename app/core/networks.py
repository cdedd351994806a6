"""IP addresses and networks: how a setting names them, and which addresses belong to one sender."""

import ipaddress
from collections.abc import Iterable
from functools import lru_cache

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def read_networks(text: str) -> tuple[Network, ...]:
    """Return the addresses and networks in a text, separated by commas or white space. Raises ValueError."""
    found = []
    for part in text.replace(",", " ").split():
        try:
            found.append(ipaddress.ip_network(part))
        except ValueError:
            raise ValueError(f"{part[:100]} is no IP address and no network, such as 10.0.0.1 or 10.0.0.0/8") from None
    return tuple(found)


def check_networks(text: str) -> str:
    """Return the text of a setting that names networks. Raises ValueError."""
    read_networks(text)
    return text


def is_in(address: str, networks: Iterable[Network]) -> bool:
    """Say whether an address is in one of the networks; False for what is no address."""
    try:
        found = _plain(address)
    except ValueError:
        return False
    return any(found in network for network in networks)


@lru_cache(4096)
def sender_of(address: str) -> str:
    """Return what stands for one sender: an IPv4 address, or an IPv6 network of 64 bits, of which any host has as many addresses as it likes."""
    try:
        found = _plain(address)
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv4Address):
        return str(found)
    return str(ipaddress.IPv6Network((int(found) >> 64 << 64, 64)))


def _plain(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """Return the address, without a zone, and as IPv4 where a listener for both kinds shows such an address as IPv6."""
    found = ipaddress.ip_address(address.partition("%")[0])
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return mapped or found
