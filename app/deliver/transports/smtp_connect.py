"""Opens a connection to the SMTP server: connect, TLS, EHLO, login.

Every failure here is Temporary, even one that the server calls permanent (a 5xx greeting, 535 wrong password, a certificate
that does not verify): the settings or the server are at fault, not the message. The message waits for the repair (72 h by
default) or moves to the recipient's next transport instead of being given up.
"""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import aiosmtplib

from app.core.errors import BadSettings
from app.core.settings import Settings
from app.core.smtp_url import Auth, SmtpServer, Tls, read_smtp_urls
from app.deliver.access_tokens import Purpose, TokenRefused, build_access_tokens
from app.deliver.transports.evidence import evidence
from app.deliver.transports.smtp_refusals import Stage, outcome_of, read_refusal
from app.deliver.transports.smtp_session import SmtpSession
from app.domain.attempt import Temporary

TokenSource = Callable[[], Awaitable[str]]


@dataclass(frozen=True, slots=True)
class SmtpAccess:
    """What is needed to open a connection.

    `token` returns the current access token; it is called at each login, so a renewed token is used. `forget_token`, where the
    tokens are our own, makes it return a new one after the server refused one. `ehlo_name` None: the name of this host.
    """

    server: SmtpServer
    tls: ssl.SSLContext
    token: TokenSource | None
    forget_token: Callable[[str], None] | None
    timeout_s: float
    ehlo_name: str | None = None


def read_accesses(settings: Settings) -> tuple[SmtpAccess, ...]:
    """Return the SMTP settings of each server, in the order in which they are used. Raises BadSettings with the name of the wrong setting."""
    if settings.smtp_url is None:
        raise BadSettings("TOCSIN_SMTP_URL: is not set")
    servers = read_smtp_urls(settings.smtp_url.get_secret_value())
    try:  # certificates are always verified: against the system's authorities, or against smtp_ca_file alone
        tls = ssl.create_default_context(cafile=settings.smtp_ca_file)
    except OSError as cause:  # ssl.SSLError is one
        raise BadSettings(f"TOCSIN_SMTP_CA_FILE: cannot be used: {cause.strerror or cause}") from cause
    timeout_s, name = settings.smtp_timeout_s, settings.smtp_ehlo_name
    return tuple(SmtpAccess(server, tls, *_tokens_of(server, settings), timeout_s, name) for server in servers)


class NoGreetingYet(Temporary):
    """The server did not greet us for as long as we waited, which was shorter than its time-out: it may only be slow."""


async def open_session(access: SmtpAccess, patience_s: float | None = None) -> SmtpSession | Temporary:
    """Return a connection that is ready for MAIL, or why there is none: code `connect`, `tls`, `auth`, `token`, a cause of `smtp_refusals`, or the server's own.

    `patience_s`: how long the server may take until it has answered EHLO, where that is less than its time-out; then NoGreetingYet.
    An access token of our own that the server refuses is replaced once, over a new connection, as some servers close the first.
    """
    try:
        token = await _token(access)
        opened = await _open(access, token, patience_s)
        is_refused = isinstance(opened, Temporary) and opened.code == "auth" and opened.text[:1].isdecimal()
        if not is_refused or token is None or access.forget_token is None:
            return opened
        access.forget_token(token)
        renewed = await _token(access)
    except TokenRefused as refused:
        return Temporary("token", evidence(refused.text), is_hopeless_here=not refused.is_temporary)
    except (OSError, ValueError) as cause:  # the file of the token
        return Temporary("auth", evidence(str(cause)))
    return opened if renewed == token else await _open(access, renewed, patience_s)


async def _token(access: SmtpAccess) -> str | None:
    if access.server.auth is not Auth.XOAUTH2 or access.token is None:
        return None
    return await access.token()


async def _open(access: SmtpAccess, token: str | None, patience_s: float | None) -> SmtpSession | Temporary:
    server = access.server
    client = aiosmtplib.SMTP(
        hostname=server.host,
        port=server.port,
        timeout=access.timeout_s,
        use_tls=server.tls is Tls.TLS,
        start_tls=False,  # done below: the library's own way does not tell a failed STARTTLS from a failed login
        tls_context=access.tls,
        local_hostname=access.ehlo_name or await local_host_name(),
    )
    step = "connect"
    patience = asyncio.timeout(patience_s)
    try:
        async with patience:
            await client.connect()
            if server.tls is Tls.STARTTLS:
                step = "tls"
                await client.starttls()
            step = "ehlo"
            await greet(client)
        step = "auth"
        await _log_in(client, server, token)
    except (aiosmtplib.SMTPException, OSError, ValueError) as cause:
        client.close()
        if patience.expired():
            return NoGreetingYet("connect", f"no answer within {patience_s:g} s; another server is tried meanwhile")
        return _failure(step, cause)
    except BaseException:
        client.close()
        raise
    return SmtpSession.of(client)


async def greet(client: aiosmtplib.SMTP) -> None:
    """Send EHLO, and HELO to a server that does not know EHLO."""
    try:
        await client.ehlo()  # after STARTTLS once more (RFC 3207 section 4.2)
    except aiosmtplib.SMTPHeloError:
        if not client.is_connected:
            raise
        await client.helo()  # for a server that does not know EHLO (RFC 5321 section 3.2)


_STAGES = {"connect": Stage.CONNECT, "ehlo": Stage.EHLO, "auth": Stage.LOGIN}


def _failure(step: str, cause: Exception) -> Temporary:
    if isinstance(cause, ssl.SSLError) or isinstance(cause.__cause__, ssl.SSLError):
        step = "tls"
    if isinstance(cause, aiosmtplib.SMTPResponseException) and cause.code > 0 and step in _STAGES:
        outcome = outcome_of(read_refusal(_STAGES[step], cause.code, cause.message), cause.code, cause.message)
        # If there is no connection, the reply is not about a message, whatever its code.
        return outcome if isinstance(outcome, Temporary) else Temporary(outcome.code, outcome.text)
    shown = "connect" if step == "ehlo" else step
    if isinstance(cause, aiosmtplib.SMTPResponseException):
        return Temporary(shown, evidence(f"{cause.code} {cause.message}"))
    # A login that the server does not offer stays missing until somebody changes a setting.
    is_hopeless = isinstance(cause, aiosmtplib.SMTPNotSupported) and step == "auth"
    return Temporary(shown, evidence(str(cause) or type(cause).__name__), is_hopeless_here=is_hopeless)


async def _log_in(client: aiosmtplib.SMTP, server: SmtpServer, token: str | None) -> None:
    """Log in with one method, once: servers count refused logins and lock the account."""
    if server.user is None:
        return
    offered = client.server_auth_methods
    auth = server.auth or (Auth.LOGIN if "login" in offered and "plain" not in offered else Auth.PLAIN)
    if auth not in offered:
        raise aiosmtplib.SMTPNotSupported(
            f"the server does not offer {auth}, but: {' '.join(offered) or 'no login at all'}"
        )
    if auth is Auth.XOAUTH2 and token is not None:
        await client.auth_xoauth2(server.user, token)
    elif auth is Auth.LOGIN:
        await client.auth_login(server.user, server.password or "")
    else:
        await client.auth_plain(server.user, server.password or "")


async def local_host_name() -> str:
    """Return the name for EHLO, or an address literal if the host has no fully qualified name (RFC 5321 section 4.1.4)."""
    try:
        async with asyncio.timeout(5):
            name = await asyncio.to_thread(socket.getfqdn)
    except TimeoutError:
        name = ""
    return name if "." in name and name.isascii() and name.isprintable() and " " not in name else "[127.0.0.1]"


def _tokens_of(server: SmtpServer, settings: Settings) -> tuple[TokenSource | None, Callable[[str], None] | None]:
    """Return where a server's access tokens come from, and how to say that it refused one: from another program, or our own."""
    token = _token_source(settings)
    if server.auth is not Auth.XOAUTH2 or token is not None:
        return token, None
    tokens = build_access_tokens(settings, Purpose.SMTP, mailbox=server.user)
    if tokens is None:
        raise BadSettings("TOCSIN_OAUTH_PROVIDER: auth=xoauth2 needs it, or TOCSIN_SMTP_OAUTH_TOKEN_FILE")
    return tokens.token, tokens.forget


def _token_source(settings: Settings) -> TokenSource | None:
    path, fixed = settings.smtp_oauth_token_file, settings.smtp_oauth_token
    if path is not None:

        async def read_file() -> str:
            return (await asyncio.to_thread(path.read_text, "utf-8")).strip()

        return read_file
    if fixed is not None:

        async def read_setting() -> str:
            return fixed.get_secret_value()

        return read_setting
    return None
