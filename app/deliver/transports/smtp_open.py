"""Opens a connection to the SMTP server: connect, TLS, EHLO, login. It must not send mail.

Every failure here is Temporary, also one that the server calls final (a 5xx greeting, 535 wrong password, a certificate that does
not verify): the fault lies in the settings or the server, not in the message, which must wait for the mend (72 h by default)
or be moved to the recipient's next transport rather than die.
"""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import aiosmtplib

from app.core.errors import BadSettings
from app.core.settings import Settings
from app.core.smtp_url import Auth, SmtpServer, Tls, read_smtp_url
from app.deliver.transports.evidence import evidence
from app.deliver.transports.smtp_session import Session
from app.domain.outcome import Temporary

Token = Callable[[], Awaitable[str]]


@dataclass(frozen=True, slots=True)
class Access:
    """All that opening takes. `token` gives the present access token; it is asked at each login, so a renewed one is used."""

    server: SmtpServer
    tls: ssl.SSLContext
    token: Token | None
    timeout_s: float


def read_access(settings: Settings) -> Access:
    """Take the SMTP settings together. Raises BadSettings with the wrong setting's name."""
    if settings.smtp_url is None:
        raise BadSettings("TOCSIN_SMTP_URL: is not set")
    server = read_smtp_url(settings.smtp_url.get_secret_value())
    token = _token(settings)
    if server.auth is Auth.XOAUTH2 and token is None:
        raise BadSettings("TOCSIN_SMTP_OAUTH_TOKEN: auth=xoauth2 needs a token, or TOCSIN_SMTP_OAUTH_TOKEN_FILE")
    return Access(server, _tls_context(settings.smtp_ca_file), token, settings.smtp_timeout_s)


async def open_session(access: Access) -> Session | Temporary:
    """Give a connection that is ready for MAIL, or why there is none: code `connect`, `tls`, `auth`, or the server's own."""
    server = access.server
    client = aiosmtplib.SMTP(
        hostname=server.host,
        port=server.port,
        timeout=access.timeout_s,
        use_tls=server.tls is Tls.TLS,
        start_tls=False,  # ours to do, below: the library's own way cannot be told apart from a failed login
        tls_context=access.tls,
        local_hostname=await _our_name(),
    )
    step = "connect"
    try:
        await client.connect()
        if server.tls is Tls.STARTTLS:
            step = "tls"
            await client.starttls()
        step = "connect"
        await _greet(client)
        step = "auth"
        await _log_in(client, access)
    except (aiosmtplib.SMTPException, OSError, ValueError) as cause:
        client.close()
        return _why(step, cause)
    except BaseException:
        client.close()
        raise
    return Session.of(client)


def _why(step: str, cause: Exception) -> Temporary:
    if isinstance(cause, ssl.SSLError) or isinstance(cause.__cause__, ssl.SSLError):
        step = "tls"
    if isinstance(cause, aiosmtplib.SMTPResponseException):
        if step == "connect" and cause.code > 0:
            return Temporary(str(cause.code), evidence(cause.message))
        return Temporary(step, evidence(f"{cause.code} {cause.message}"))
    return Temporary(step, evidence(str(cause) or type(cause).__name__))


async def _greet(client: aiosmtplib.SMTP) -> None:
    """EHLO, and HELO to a server that knows no better (RFC 5321 section 3.2). After STARTTLS anew (RFC 3207 section 4.2)."""
    try:
        await client.ehlo()
    except aiosmtplib.SMTPHeloError:
        if not client.is_connected:
            raise
        await client.helo()


async def _log_in(client: aiosmtplib.SMTP, access: Access) -> None:
    """Log in once, by one method: a server counts each refusal, and locks the account."""
    server = access.server
    if server.user is None:
        return
    offered = client.server_auth_methods
    auth = server.auth or (Auth.LOGIN if "login" in offered and "plain" not in offered else Auth.PLAIN)
    if auth not in offered:
        raise aiosmtplib.SMTPNotSupported(
            f"the server does not offer {auth}, but: {' '.join(offered) or 'no login at all'}"
        )
    if auth is Auth.XOAUTH2 and access.token is not None:
        await client.auth_xoauth2(server.user, await access.token())
    elif auth is Auth.LOGIN:
        await client.auth_login(server.user, server.password or "")
    else:
        await client.auth_plain(server.user, server.password or "")


async def _our_name() -> str:
    """Give the name for EHLO, or an address literal where the host has no full name (RFC 5321 section 4.1.4)."""
    try:
        name = await asyncio.wait_for(asyncio.to_thread(socket.getfqdn), timeout=5)
    except TimeoutError:
        name = ""
    return name if "." in name and name.isascii() and name.isprintable() and " " not in name else "[127.0.0.1]"


def _token(settings: Settings) -> Token | None:
    path, fixed = settings.smtp_oauth_token_file, settings.smtp_oauth_token

    async def from_file(path: Path) -> str:
        return (await asyncio.to_thread(path.read_text, "utf-8")).strip()

    async def from_settings() -> str:
        return fixed.get_secret_value() if fixed is not None else ""

    if path is not None:
        return lambda: from_file(path)
    return from_settings if fixed is not None else None


def _tls_context(ca_file: Path | None) -> ssl.SSLContext:
    """Certificates are always verified: by the system's authorities, or by `ca_file` alone."""
    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError as cause:  # ssl.SSLError is one
        raise BadSettings(f"TOCSIN_SMTP_CA_FILE: cannot be used: {cause.strerror or cause}") from cause
