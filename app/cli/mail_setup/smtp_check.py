"""Tries an SMTP server step by step, so that the first thing that is wrong is named: DNS, connect, TLS, EHLO, login.

`tocsin setup mail` shows each step. The mail itself is then sent by the transport that the service uses.
"""

import asyncio
import os
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum

import aiosmtplib
import httpcore

from app.cli.mail_setup.certificate import CertificateProblem, explain_certificate
from app.core.smtp_url import Auth, SmtpServer, Tls, is_loopback
from app.deliver.transports.evidence import evidence
from app.deliver.transports.public_only import RESOLVE_S, resolve_host
from app.deliver.transports.smtp_connect import greet, local_host_name

STEP_S = 10.0  # a person waits for each step
_CONNECT_S = 5.0


class Answer(StrEnum):
    """The answer of the person that has to be corrected when a step fails."""

    SERVER = "server"
    ENCRYPTION = "encryption"
    USER = "user"
    PASSWORD = "password"  # noqa: S105  (a name)
    AUTHORITY = "authority"
    EHLO_NAME = "EHLO name"


@dataclass(frozen=True, slots=True)
class Step:
    """One step: its name and what happened. If it failed, `fault` names the answer to correct, `advice` says what to do, and nothing follows."""

    name: str
    text: str
    fault: str | None = None
    advice: str = ""
    certificate: CertificateProblem | None = None
    offers_login: bool = False


@dataclass(frozen=True, slots=True)
class Trial:
    """What to try. `token` returns an access token for XOAUTH2."""

    server: SmtpServer
    tls: ssl.SSLContext
    ehlo_name: str | None = None
    token: Callable[[], Awaitable[str]] | None = None


async def check_server(trial: Trial) -> AsyncGenerator[Step]:
    """Yield each step as it ends; the last one has a fault, or is the login (without a user: EHLO)."""
    server = trial.server
    step, addresses = await _resolve(server.host, server.port)
    yield step
    if step.fault is None:
        step = await _connect(server, addresses)
        yield step
    if step.fault is not None:
        return
    client = aiosmtplib.SMTP(
        hostname=server.host,
        port=server.port,
        timeout=STEP_S,
        use_tls=server.tls is Tls.TLS,
        start_tls=False,
        tls_context=trial.tls,
        local_hostname=trial.ehlo_name or await local_host_name(),
    )
    try:
        async for step in _talk(client, trial):
            yield step
    finally:
        client.close()


async def _talk(client: aiosmtplib.SMTP, trial: Trial) -> AsyncGenerator[Step]:
    server, doing = trial.server, "TLS" if trial.server.tls is Tls.TLS else "connect"
    try:
        await client.connect()
        if server.tls is Tls.STARTTLS:
            doing = "EHLO"
            await greet(client)
            doing = "TLS"
            await client.starttls()
        if server.tls is not Tls.NONE:
            connection = client.get_transport_info("ssl_object")
            version = connection.version() if isinstance(connection, ssl.SSLObject) else "TLS"
            yield Step("TLS", f"{version}, and the certificate is valid")
        doing = "EHLO"
        await greet(client)
        size = client.esmtp_extensions.get("size", "")
        has_limit = size.isdecimal() and int(size)
        limit = f"mails of up to {int(size) / 1024 / 1024:.0f} MiB" if has_limit else "no limit of size named"
        logins = " ".join(method.upper() for method in client.server_auth_methods) or "none"
        yield Step("EHLO", f"{limit}; logins: {logins}", offers_login=bool(client.server_auth_methods))
        doing = "login"
        if server.user is not None and server.tls is Tls.NONE and not is_loopback(server.host):
            advice = "Choose `starttls` or `tls`."
            yield Step("login", "a password is never sent over a network without encryption", Answer.ENCRYPTION, advice)
        elif server.user is not None:
            yield Step("login", await _log_in(client, trial))
    except (aiosmtplib.SMTPException, OSError, ValueError) as cause:
        yield await _failure(doing, cause, server)


async def _resolve(host: str, port: int) -> tuple[Step, list[str]]:
    try:
        async with asyncio.timeout(RESOLVE_S):
            found = await resolve_host(host, port)
    except TimeoutError:
        text, advice = (
            f"no answer about {host} within {RESOLVE_S:g} s",
            "Check this host's DNS servers, or enter an address.",
        )
        return Step("DNS", text, Answer.SERVER, advice), []
    except httpcore.ConnectError as cause:
        advice = "Check the spelling; a name of your own network must be known to this host's DNS servers."
        return Step("DNS", str(cause), Answer.SERVER, advice), []
    addresses = list(dict.fromkeys(str(address) for address in found))
    text = f"{host} is an address" if addresses == [host] else f"{host} is {', '.join(addresses)}"
    return Step("DNS", text), addresses


async def _connect(server: SmtpServer, addresses: list[str]) -> Step:
    """Connect to each address in turn, as the service does."""
    failures = []
    for address in addresses[:4]:
        try:
            async with asyncio.timeout(_CONNECT_S):
                _, writer = await asyncio.open_connection(address, server.port)
        except TimeoutError:
            failures.append(f"{address}: no answer within {_CONNECT_S:g} s")
        except OSError as cause:
            failures.append(f"{address}: {os.strerror(cause.errno) if cause.errno else cause}")
        else:
            writer.close()
            return Step("connect", f"{address} answers on port {server.port}")
    advice = (
        "A firewall may block the port, or the server may use another one: 587 (STARTTLS), 465 (TLS) and 25 are usual."
        if any("no answer" in failure for failure in failures)
        else f"Nothing listens on port {server.port} there. Usual are 587 (STARTTLS), 465 (TLS) and 25."
    )
    return Step("connect", f"port {server.port}: {'; '.join(failures)}", Answer.SERVER, advice)


async def _log_in(client: aiosmtplib.SMTP, trial: Trial) -> str:
    """Log in with one method, once, as the service does: servers count refused logins."""
    server, offered = trial.server, client.server_auth_methods
    auth = server.auth or (Auth.LOGIN if "login" in offered and "plain" not in offered else Auth.PLAIN)
    if auth not in offered:
        raise aiosmtplib.SMTPNotSupported(
            f"the server does not offer {auth}, but: {' '.join(offered) or 'no login at all'}"
        )
    user, password = server.user or "", server.password or ""
    if auth is Auth.XOAUTH2 and trial.token is not None:
        reply = await client.auth_xoauth2(user, await trial.token())
    elif auth is Auth.LOGIN:
        reply = await client.auth_login(user, password)
    else:
        reply = await client.auth_plain(user, password)
    return f"as {user}: {reply.code} {evidence(reply.message)}"


async def _failure(doing: str, cause: Exception, server: SmtpServer) -> Step:
    """Return the step that failed, with the server's own words and what to do."""
    error = cause if isinstance(cause, ssl.SSLError) else cause.__cause__
    if isinstance(error, ssl.SSLCertVerificationError):
        problem = await explain_certificate(server, STEP_S)
        if problem is not None:
            return Step("TLS", problem.text, Answer(problem.to_correct), problem.advice, problem)
    reply = cause if isinstance(cause, aiosmtplib.SMTPResponseException) and cause.code > 0 else None
    words = evidence(f"{reply.code} {reply.message}" if reply else str(cause)) or "the connection was closed"
    if isinstance(error, ssl.SSLError):
        return Step("TLS", words, Answer.ENCRYPTION, "Port 465 usually needs `tls`, ports 587 and 25 `starttls`.")
    if doing == "login" and not isinstance(cause, aiosmtplib.SMTPNotSupported):
        known = (advice for part, advice in _LOGIN_ADVICE if part in words.lower())
        advice = next(known, "User or password is wrong, or this account may not send over SMTP.")
        return Step("login", words, Answer.PASSWORD, advice)
    fault, advice = _ADVICE["greeting" if doing == "EHLO" and reply else doing]
    return Step(doing, words, fault, advice)


_ADVICE = {
    "connect": (
        Answer.SERVER,
        "This is no SMTP server, or it speaks another encryption on this port, or it refuses this host's address.",
    ),
    "TLS": (
        Answer.ENCRYPTION,
        "The server does not offer this encryption here. Try port 465 with `tls`; `none` is only for a server in your own network, without a login.",
    ),
    "EHLO": (Answer.SERVER, "The server closed the connection; it may refuse this host's address."),
    "greeting": (
        Answer.EHLO_NAME,
        "The server refuses the name that this host greets it with. Enter the host's full name in DNS, such as tocsin.example.org.",
    ),
    "login": (
        Answer.USER,
        "Leave the user empty if the server accepts this host without a login, or use another port: a login is often offered on 587 only.",
    ),
}
_LOGIN_ADVICE = (
    ("5.7.139", "Exchange Online refuses passwords over SMTP in this tenant: begin again and choose Exchange Online."),
    ("basic authentication", "Exchange Online refuses passwords over SMTP in this tenant: begin again and choose Exchange Online."),
    ("application-specific password", "Google needs an app password here: https://myaccount.google.com/apppasswords."),
    ("5.7.8", "User or password is wrong. Google, Yahoo, iCloud and Fastmail need an app password, made in the settings of the account."),
    ("5.7.3", "Exchange refuses this user: check it (DOMAIN\\user or user@domain), and the authentication of the receive connector."),
)  # fmt: skip
