"""Parses `TOCSIN_SMTP_URL` and refuses what is unsafe or unknown. It must never repeat the URL, which contains a password."""

import ipaddress
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from app.core.errors import BadSettings

_NAME = "TOCSIN_SMTP_URL"
MOST_SERVERS = 5
_SHAPE = f"{_NAME}: must look like smtp://user:password@host:587?tls=starttls, with special characters of the password percent-encoded"


class Tls(StrEnum):
    """How the connection is encrypted. `starttls` is required, never optional (RFC 8314 section 3; RFC 3207)."""

    NONE = "none"
    STARTTLS = "starttls"
    TLS = "tls"


class Auth(StrEnum):
    """How we log in: PLAIN (RFC 4616), the LOGIN that some servers still need, or Google's and Microsoft's XOAUTH2."""

    PLAIN = "plain"
    LOGIN = "login"
    XOAUTH2 = "xoauth2"


_USUAL_PORT = {Tls.NONE: 25, Tls.STARTTLS: 587, Tls.TLS: 465}
_USUAL_TLS = {587: Tls.STARTTLS, 465: Tls.TLS}


@dataclass(frozen=True, slots=True)
class SmtpServer:
    """The mail server and how we log in. `auth` None means PLAIN or LOGIN, whichever the server offers."""

    host: str
    port: int
    tls: Tls
    user: str | None = None
    password: str | None = None
    auth: Auth | None = None

    @property
    def address(self) -> str:
        """Host and port, as shown to people."""
        return f"{self.host}:{self.port}"

    def __repr__(self) -> str:
        """Show the server without the password: a repr is often logged."""
        return f"SmtpServer({self.host}:{self.port}, tls={self.tls})"


def read_smtp_urls(text: str) -> tuple[SmtpServer, ...]:
    """Parse one or several URLs, separated by white space (no URL contains any), in the order in which the servers are used. Raises BadSettings."""
    urls = text.split()
    servers: list[SmtpServer] = []
    for number, url in enumerate(urls, start=1):
        try:
            servers.append(read_smtp_url(url))
        except BadSettings as wrong:
            if len(urls) == 1:
                raise
            raise BadSettings(f"{wrong} (URL {number} of {len(urls)})") from None
    if not servers or len(servers) > MOST_SERVERS:
        raise BadSettings(f"{_NAME}: must have from 1 to {MOST_SERVERS} URLs")
    if len({(server.host, server.port, server.user) for server in servers}) < len(servers):
        raise BadSettings(f"{_NAME}: names the same server twice")
    return tuple(servers)


def read_smtp_url(text: str) -> SmtpServer:
    """Parse `smtp://user:password@host:port?tls=starttls|tls|none&auth=plain|login|xoauth2`. Raises BadSettings.

    Without `tls`: port 465 means tls (RFC 8314), 587 starttls (RFC 6409), any other port starttls, but none on a loopback host.
    A password is never sent over a network without encryption.
    """
    try:
        url = urlsplit(text)
        port = url.port
        parameters = dict(parse_qsl(url.query, keep_blank_values=True, strict_parsing=True)) if url.query else {}
    except ValueError:
        raise BadSettings(_SHAPE) from None
    if url.scheme != "smtp" or not url.hostname or url.path not in ("", "/") or url.fragment or port == 0:
        raise BadSettings(_SHAPE)
    if set(parameters) - {"tls", "auth"} or url.query.count("=") != len(parameters):
        raise BadSettings(f"{_NAME}: the only parameters are tls and auth, each once")
    tls = _USUAL_TLS.get(port or 0, Tls.NONE if is_loopback(url.hostname) else Tls.STARTTLS)
    try:
        tls = Tls(parameters.get("tls", tls))
    except ValueError:
        raise BadSettings(f"{_NAME}: tls must be starttls, tls or none") from None
    try:
        auth = Auth(parameters["auth"]) if "auth" in parameters else None
    except ValueError:
        raise BadSettings(f"{_NAME}: auth must be plain, login or xoauth2") from None
    server = SmtpServer(
        host=url.hostname,
        port=port or _USUAL_PORT[tls],
        tls=tls,
        user=_decode(url.username),
        password=_decode(url.password),
        auth=auth,
    )
    _check_login(server, url)
    return server


def is_loopback(host: str) -> bool:
    """Return whether `host` can only be this machine; no name but localhost is trusted to be."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _decode(part: str | None) -> str | None:
    return unquote(part) if part else None


def _check_login(server: SmtpServer, url: SplitResult) -> None:
    if url.username is None and server.auth is None:
        return
    if server.user is None:
        raise BadSettings(f"{_NAME}: a login needs a user")
    if server.auth is not Auth.XOAUTH2 and server.password is None:
        raise BadSettings(f"{_NAME}: the user has no password")
    if server.auth is Auth.XOAUTH2 and server.password is not None:
        raise BadSettings(f"{_NAME}: auth=xoauth2 takes a token (TOCSIN_SMTP_OAUTH_TOKEN), not a password")
    if server.tls is Tls.NONE and not is_loopback(server.host):
        raise BadSettings(f"{_NAME}: a password is only sent without TLS to this machine; use tls=starttls or tls=tls")
