"""Checks of settings that a type alone cannot tell, made before anything starts. It must never repeat a value that may hold a password."""

import re
import ssl
from email.errors import HeaderParseError
from email.headerregistry import Address
from pathlib import Path

import idna

from app.core.errors import BadSettings
from app.core.mail_address import split_address
from app.core.smtp_url import Auth, read_smtp_url

_SENDER_MOST = 320
_MAIL = re.compile(
    r"[^\s<>()\[\],;:@\\\"\x00-\x1f\x7f-\x9f]+@(?:[^\s<>()\[\],;:@\\\"\x00-\x1f\x7f-\x9f]+|\[[0-9A-Za-z.:]+\])"
)
# As the database library reads it: to the last @ everything is user and password, whatever characters that has.
_DATABASE = re.compile(
    r"\w+(?:\+\w+)?://(?:[^:/]*(?::[^@]*)?@)?(?:\[[^/?]+\]|[^/:?]+)?(?::(?P<port>[^/?]*))?(?:/[^?]*)?(?:\?.*)?",
    re.DOTALL,
)
_PORT_MOST = 65535


def check_database(url: str) -> None:
    """Raise BadSettings unless the database's address can be understood."""
    if not url.startswith(("sqlite+aiosqlite:///", "postgresql+asyncpg://")):
        raise BadSettings("TOCSIN_DATABASE_URL: must begin with postgresql:// or sqlite:///")
    if url.startswith("sqlite"):
        return
    found = _DATABASE.fullmatch(url)
    if found is None:
        raise BadSettings(
            "TOCSIN_DATABASE_URL: must look like postgresql://user:password@host:5432/name, with special characters of the password percent-encoded"
        )
    port = found["port"]
    if port and not (port.isascii() and port.isdecimal() and 0 < int(port) <= _PORT_MOST):
        raise BadSettings("TOCSIN_DATABASE_URL: its port must be a number from 1 to 65535")


def check_mail(url: str | None, token: str | None, token_file: Path | None, ca_file: Path | None) -> None:
    """Raise BadSettings for what no mail could be sent with: noticed later, events would be taken in and no alert would ever leave."""
    auth = None if url is None else read_smtp_url(url).auth
    if token_file is not None:
        _read(token_file, "TOCSIN_SMTP_OAUTH_TOKEN_FILE")
    elif auth is Auth.XOAUTH2 and not token:
        raise BadSettings("TOCSIN_SMTP_OAUTH_TOKEN: auth=xoauth2 needs a token, or TOCSIN_SMTP_OAUTH_TOKEN_FILE")
    if ca_file is not None:
        try:
            ssl.create_default_context(cafile=ca_file)
        except OSError as cause:  # ssl.SSLError is one
            said = "holds no certificate" if isinstance(cause, ssl.SSLError) else cause.strerror
            raise BadSettings(f"TOCSIN_SMTP_CA_FILE: cannot use {ca_file}: {said}") from cause


def check_sender(text: str) -> None:
    """Raise BadSettings unless there is an address that a mail can come from. Mails to files need one too."""
    address = split_address(text)[1]
    if len(text) > _SENDER_MOST or address not in text or not _is_mail_address(address):
        raise BadSettings("TOCSIN_MAIL_FROM: must hold a mail address, such as Tocsin <tocsin@example.org>")


def _is_mail_address(text: str) -> bool:
    local, _, domain = text.rpartition("@")
    try:
        Address("", local, domain if domain.isascii() else idna.encode(domain, uts46=True).decode("ascii"))
    except (idna.IDNAError, HeaderParseError, ValueError):
        return False
    return _MAIL.fullmatch(text) is not None


def _read(path: Path, name: str) -> None:
    try:
        path.read_text(encoding="utf-8")
    except OSError as cause:
        raise BadSettings(f"{name}: cannot read {path}: {cause.strerror}") from cause
    except UnicodeDecodeError as cause:
        raise BadSettings(f"{name}: {path} is not text in UTF-8") from cause
