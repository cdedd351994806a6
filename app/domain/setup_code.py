"""The one-time code by which a relay is set up: typed or pasted on its host, and exchanged for its key. Pure; only its hash is stored.

`ABCD-EFGH-` names the code in the database (40 bits, no secret); the other twelve characters are the secret (60 bits). With five
tries and an hour, nobody guesses it. The alphabet is Crockford's base32: a reader who confuses O and 0, or I, L and 1, is understood.
"""

import hmac
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

VALID_FOR = timedelta(minutes=60)
TRIES = 5
_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_LENGTH, _NAME_LENGTH, _GROUP = 20, 8, 4
_READ_AS = str.maketrans("OIL", "011", "- \t\r\n")


@dataclass(frozen=True, slots=True)
class SetupCode:
    """A code as it is stored. A relay has at most one."""

    relay_id: str
    name: str
    hash: str
    expires_at: datetime
    tries_left: int

    def accepts(self, presented_hash: str, now: datetime) -> bool:
        """Return whether the code with this hash may be exchanged now. Takes the same time whatever the hash is."""
        is_same = hmac.compare_digest(self.hash, presented_hash)
        return is_same and self.tries_left > 0 and now < self.expires_at


def new_code() -> str:
    """Return a new code, as people see it: `ABCD-EFGH-JKMN-PQRS-TVWX`."""
    plain = "".join(secrets.choice(_ALPHABET) for _ in range(_LENGTH))
    return "-".join(plain[start : start + _GROUP] for start in range(0, _LENGTH, _GROUP))


def read_code(text: str) -> str | None:
    """Return a code without its dashes, however it was typed; None if it cannot be one."""
    plain = text.upper().translate(_READ_AS)
    return plain if len(plain) == _LENGTH and set(plain) <= set(_ALPHABET) else None


def name_of(plain_code: str) -> str:
    """Return the part of a code by which it is found."""
    return plain_code[:_NAME_LENGTH]
