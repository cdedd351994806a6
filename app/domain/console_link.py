"""The link that the command line makes for somebody who cannot sign in: signed with the server secret, so that nothing is stored for it.

The embedded database has one writing process, and that is the service. Whoever can read the secret can do everything anyway. That
it works once is held when it is used: its hash is stored then. Pure.
"""

import hmac
import json
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from datetime import UTC, datetime

from app.domain.person import Role

PURPOSE = "console link"
_SIGNATURE = 64  # characters of hex: 256 bits
_TOKEN = re.compile(rf"c\.([A-Za-z0-9_-]{{1,700}})\.([0-9a-f]{{{_SIGNATURE}}})")


@dataclass(frozen=True, slots=True)
class ConsoleLink:
    """Whom a link signs in, and until when. `role` None: a person who is there; otherwise one who is not there is added."""

    email: str
    until: datetime
    nonce: str
    role: Role | None = None
    name: str = ""
    customers: tuple[str, ...] | None = None


def sign_console_link(secret: bytes, link: ConsoleLink) -> str:
    """Return the token of a link."""
    values = {
        "email": link.email,
        "until": int(link.until.timestamp()),
        "nonce": link.nonce,
        "role": link.role,
        "name": link.name,
        "customers": link.customers,
    }
    body = urlsafe_b64encode(json.dumps(values).encode()).decode().rstrip("=")
    return f"c.{body}.{_sign(secret, body)}"


def read_console_link(secret: bytes, token: str) -> ConsoleLink | None:
    """Return what a token says; None for one that we did not sign."""
    found = _TOKEN.fullmatch(token)
    if found is None or not hmac.compare_digest(found[2], _sign(secret, found[1])):
        return None
    values = json.loads(urlsafe_b64decode(found[1] + "=" * (-len(found[1]) % 4)))
    return ConsoleLink(
        email=values["email"],
        until=datetime.fromtimestamp(values["until"], UTC),
        nonce=values["nonce"],
        role=None if values["role"] is None else Role(values["role"]),
        name=values["name"],
        customers=None if values["customers"] is None else tuple(values["customers"]),
    )


def _sign(secret: bytes, body: str) -> str:
    return hmac.digest(secret, body.encode(), "sha256").hex()
