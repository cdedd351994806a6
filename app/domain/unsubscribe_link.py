"""The link by which somebody outside leaves a summary: who is outside, and the signed token in the link. Pure.

The token names the schedule and the recipient, and its signature covers the address that the mail went to (RFC 8058 section 3.1: it
must identify the list and the recipient, and be hard to forge). Once the recipient has another address, the link does nothing.
"""

import hmac
import re
from collections.abc import Iterable

PURPOSE = "unsubscribe"
_SIGNATURE = 32  # characters of hex: 128 bits
_TOKEN = re.compile(rf"(sch_[0-9a-f]{{1,40}})\.(rcp_[0-9a-f]{{1,40}})\.([0-9a-f]{{{_SIGNATURE}}})")


def is_outside(address: str, own: Iterable[str]) -> bool:
    """Say whether an address has another domain than each of our `own`: somebody who did not choose to get our mail.

    Colleagues of the administrator keep their summary: none of us may end it for another by a click in a forwarded mail.
    """
    return bool(_domain(address)) and _domain(address) not in {_domain(one) for one in own}


def sign_link(secret: bytes, schedule_id: str, recipient_id: str, address: str) -> str:
    """Return the token for the link in a mail to `address`."""
    return f"{schedule_id}.{recipient_id}.{_sign(secret, schedule_id, recipient_id, address)}"


def read_link(token: str) -> tuple[str, str] | None:
    """Return the ids of schedule and recipient; None if `token` is none of ours. Its signature is not checked here."""
    found = _TOKEN.fullmatch(token)
    return None if found is None else (found[1], found[2])


def is_signed_for(secret: bytes, token: str, addresses: Iterable[str]) -> bool:
    """Say whether the token was made for one of these addresses."""
    found = _TOKEN.fullmatch(token)
    if found is None:
        return False
    return any(hmac.compare_digest(found[3], _sign(secret, found[1], found[2], address)) for address in addresses)


def _sign(secret: bytes, schedule_id: str, recipient_id: str, address: str) -> str:
    signed = f"{schedule_id}\n{recipient_id}\n{address.casefold()}".encode("utf-8", "surrogatepass")
    return hmac.digest(secret, signed, "sha256").hex()[:_SIGNATURE]


def _domain(address: str) -> str:
    return address.rpartition("@")[2].casefold()
