"""Checks of settings that need more than a type, and the words for a setting that is wrong. Neither may repeat a value: it may be a secret."""

import ipaddress
import re
import ssl
from collections.abc import Iterable, Mapping
from email.errors import HeaderParseError
from email.headerregistry import Address
from pathlib import Path
from typing import Any

import idna

from app.core.errors import BadSettings
from app.core.mail_address import split_address
from app.core.mailbox_url import read_mailbox_url
from app.core.smtp_url import Auth, read_smtp_urls

_SENDER_MOST = 320
_HOST_MOST = 253
BOUNCE_LOCAL_MOST = 17  # characters before the @, so that 64 are enough with a signature (see domain/own_address.py)
_MAIL = re.compile(
    r"[^\s<>()\[\],;:@\\\"\x00-\x1f\x7f-\x9f]+@(?:[^\s<>()\[\],;:@\\\"\x00-\x1f\x7f-\x9f]+|\[[0-9A-Za-z.:]+\])"
)
# As SQLAlchemy parses it: everything before the last @ is user and password, whatever characters they contain.
_DATABASE = re.compile(
    r"\w+(?:\+\w+)?://(?:[^:/]*(?::[^@]*)?@)?(?:\[[^/?]+\]|[^/:?]+)?(?::(?P<port>[^/?]*))?(?:/[^?]*)?(?:\?.*)?",
    re.DOTALL,
)
_PORT_MOST = 65535
_PATTERNS = {
    "base_url": "must begin with http:// or https://",
    "admin_email": "must be a mail address, such as ann@example.org",
    "graph_mailbox": "must be a mail address, such as tocsin@example.org",
}
_MESSAGES = {
    "too_short": "is too short: at least {min_length} characters",
    "string_too_short": "is too short: at least {min_length} characters",
    "bool_parsing": "must be true or false",
    "bool_type": "must be true or false",
    "literal_error": "must be {expected}",
    "extra_forbidden": "there is no such setting",
    "string_type": "must be text",
    "path_type": "must be text",
    "date_from_datetime_parsing": "must be a date, such as 2027-06-30",
    "date_parsing": "must be a date, such as 2027-06-30",
    "date_type": "must be a date, such as 2027-06-30",
    "date_from_datetime_inexact": "must be a date, such as 2027-06-30",
}
_NUMBER_ERRORS = ("int_", "float_", "finite_", "greater_than", "less_than")


def check_database(url: str) -> None:
    """Raise BadSettings unless the URL of the database can be parsed."""
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


def check_mail(
    url: str | None, token: str | None, token_file: Path | None, ca_file: Path | None, *, has_provider: bool
) -> None:
    """Raise BadSettings for settings with which no mail can be sent: otherwise events would be accepted, and no alert would ever be sent."""
    needs_token = url is not None and any(server.auth is Auth.XOAUTH2 for server in read_smtp_urls(url))
    if token_file is not None:
        try:
            token_file.read_text(encoding="utf-8")
        except OSError as cause:
            raise BadSettings(f"TOCSIN_SMTP_OAUTH_TOKEN_FILE: cannot read {token_file}: {cause.strerror}") from cause
        except UnicodeDecodeError as cause:
            raise BadSettings(f"TOCSIN_SMTP_OAUTH_TOKEN_FILE: {token_file} is not text in UTF-8") from cause
    elif needs_token and not token and not has_provider:
        raise BadSettings(
            "TOCSIN_OAUTH_PROVIDER: auth=xoauth2 needs it, or a token of another program (TOCSIN_SMTP_OAUTH_TOKEN_FILE)"
        )
    if ca_file is not None:
        try:
            ssl.create_default_context(cafile=ca_file)
        except OSError as cause:  # ssl.SSLError is one
            reason = "contains no certificate" if isinstance(cause, ssl.SSLError) else cause.strerror
            raise BadSettings(f"TOCSIN_SMTP_CA_FILE: cannot use {ca_file}: {reason}") from cause


def check_sender(text: str) -> None:
    """Raise BadSettings unless the text contains a valid sender address. Mails to files need one too."""
    address = split_address(text)[1]
    local, _, domain = address.rpartition("@")
    try:
        Address("", local, domain if domain.isascii() else idna.encode(domain, uts46=True).decode("ascii"))
    except (idna.IDNAError, HeaderParseError, ValueError):
        is_mail_address = False
    else:
        is_mail_address = _MAIL.fullmatch(address) is not None
    if len(text) > _SENDER_MOST or address not in text or not is_mail_address:
        raise BadSettings("TOCSIN_MAIL_FROM: must contain a mail address, such as Tocsin <tocsin@example.org>")


def check_bounce_address(address: str | None) -> None:
    """Raise BadSettings for an address with which signed addresses would be too long or invalid."""
    if address is None:
        return
    local, _, domain = address.rpartition("@")
    is_short = re.fullmatch(rf"[A-Za-z0-9._-]{{1,{BOUNCE_LOCAL_MOST}}}", local) is not None
    if not is_short or not re.fullmatch(r"[A-Za-z0-9.-]{1,255}", domain):
        raise BadSettings(
            "TOCSIN_BOUNCE_ADDRESS: must look like bounces@example.org, with at most "
            f"{BOUNCE_LOCAL_MOST} letters, digits, dots and hyphens before the @: a signature is added there"
        )


def read_ehlo_name(text: str) -> str:
    """Return the name in ASCII. Raises ValueError unless it is a full host name or an address literal (RFC 5321 section 4.1.3)."""
    if text.startswith("[") and text.endswith("]"):
        literal = text[1:-1]
        ipaddress.ip_address(literal.removeprefix("IPv6:"))
        if (":" in literal) is not literal.startswith("IPv6:"):
            raise ValueError(
                "must be a full host name, such as tocsin.example.org, or an address such as [192.0.2.1] or [IPv6:2001:db8::1]"
            )
        return text
    try:
        name = idna.encode(text.rstrip("."), uts46=True).decode("ascii")
    except (idna.IDNAError, UnicodeError):
        name = ""
    if "." not in name or len(name) > _HOST_MOST:
        raise ValueError("must be a full host name, such as tocsin.example.org, or an address such as [192.0.2.1]")
    return name


def check_mailbox(url: str | None, *, has_provider: bool) -> None:
    """Raise BadSettings for a mailbox that cannot be read."""
    if url is not None and read_mailbox_url(url).password is None and not has_provider:
        raise BadSettings("TOCSIN_MAILBOX_URL: auth=xoauth2 needs TOCSIN_OAUTH_PROVIDER, which the tokens come from")


def describe_error(
    error_type: str, context: Mapping[str, Any], message: str, name: str, rules: Iterable[object]
) -> str:
    """Return the words for one of Pydantic's errors: its type, context and message, and the setting's own rules."""
    if error_type == "string_pattern_mismatch" and name in _PATTERNS:
        return _PATTERNS[name]
    if error_type in _MESSAGES:
        return _MESSAGES[error_type].format_map(context).replace("'", "")
    if error_type.startswith(_NUMBER_ERRORS):
        whole = "whole " if error_type == "int_from_float" else ""
        return f"must be a {whole}number{_bounds(rules)}"
    return message.removeprefix("Value error, ")


def _bounds(rules: Iterable[object]) -> str:
    found = {
        name: getattr(rule, name)
        for rule in rules
        for name in ("ge", "gt", "le")
        if getattr(rule, name, None) is not None
    }
    high = f"{found['le']}" if "le" in found else None
    if "ge" in found:
        return f" from {found['ge']} to {high}" if high else f", at least {found['ge']}"
    if "gt" in found:
        return f" above {found['gt']}" + (f", at most {high}" if high else "")
    return ""
