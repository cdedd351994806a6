"""Which addresses of programs are accepted when they are written. Private ones are accepted here and refused at sending, unless allowed."""

import ipaddress
import re
from importlib.util import find_spec
from urllib.parse import SplitResult, urlsplit

from app.core.errors import BadInput

_PORTS = {"http": 80, "https": 443}
_MOST_PEERS = 10
_SOCKETS = {"syslog": ("tls", "tcp", "udp"), "snmp": ("snmp",), "zabbix": ("zabbix",)}
_NEEDED = {"snmp": ("pysnmp", "tocsin[snmp]"), "apprise": ("apprise", "tocsin[apprise]")}


def check_program_address(transport: str, address: str) -> None:
    """Raise ValueError with the rule that an address breaks."""
    if transport == "alertmanager":
        peers = address.split(" ")
        if len(peers) > _MOST_PEERS:
            raise ValueError(f"address has more than {_MOST_PEERS} URLs")
        for peer in peers:
            url = _check_url(peer)
            if url.query or url.fragment:
                raise ValueError("address must be the URL of Alertmanager's page, without ? and #")
    elif transport in _SOCKETS:
        _check_socket(transport, address)
    elif transport == "apprise":
        if not re.fullmatch(r"[\w .-]{1,80}", address):
            raise ValueError("address is a name of your choice, without / and :; the URL belongs into options.url")
    else:
        _check_url(address)
    needed = _NEEDED.get(transport)
    if needed is not None and find_spec(needed[0]) is None:
        raise ValueError(f"transport {transport} needs the extra {needed[1]}: pip install '{needed[1]}'")


def _check_socket(transport: str, address: str) -> None:
    url = urlsplit(address)
    schemes = _SOCKETS[transport]
    if (
        url.scheme not in schemes
        or not url.hostname
        or url.username
        or url.password
        or url.path
        or url.query
        or url.fragment
    ):
        raise ValueError(f"address must look like {schemes[0]}://host:port")
    if url.port == 0 or re.search(r"[\x00-\x20\x7f]", address):
        raise ValueError(f"address must look like {schemes[0]}://host:port")


def refuse_ourselves(address: str, public_url: str) -> None:
    """Raise BadInput if an address is one of ours: each alert would come back as a report, and open the next alert."""
    own = _place(urlsplit(public_url))
    for part in address.split():
        try:
            is_ours = "://" in part and _place(urlsplit(part)) == own
        except ValueError:
            continue
        if is_ours:
            raise BadInput("address is our own: what is sent there would come back here", field="address")


def _place(url: SplitResult) -> tuple[str, int | None]:
    return (url.hostname or "").rstrip("."), url.port or _PORTS.get(url.scheme)


def _check_url(text: str) -> SplitResult:
    url = urlsplit(text)  # ValueError for what is no URL
    if not url.hostname or url.username or url.password or re.search(r"[\x00-\x20\x7f]", text):
        raise ValueError("address is not a URL that we call")
    if url.port == 0:  # and ValueError where it is no port
        raise ValueError("address is not a URL that we call")
    if url.scheme != "https" and not (url.scheme == "http" and _is_private(url.hostname)):
        raise ValueError("address must begin with https://; http:// only with an IP address of a private network")
    return url


def _is_private(host: str) -> bool:
    try:
        return not ipaddress.ip_address(host).is_global
    except ValueError:
        return host == "localhost"
