"""The link in an alert mail by which its recipient answers without signing in: see the alert, take it on, silence it. Pure.

The token names the alert, the recipient and when the link ends; its signature also covers the address that the mail went to. Once
the recipient has another address, the link does nothing.
"""

import hmac
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

PATH = "/answer/"
PURPOSE = "answer"
LASTS = timedelta(days=7)
_SIGNATURE = 32  # characters of hex: 128 bits
_TOKEN = re.compile(rf"(alr_[0-9a-f]{{1,40}})\.(rcp_[0-9a-f]{{1,40}})\.([0-9a-f]{{1,12}})\.([0-9a-f]{{{_SIGNATURE}}})")


@dataclass(frozen=True, slots=True)
class AnswerLink:
    """What a link says. It is believed only once `signer_of` has found for which address it was made."""

    alert_id: str
    recipient_id: str
    until: datetime


def sign_answer(secret: bytes, alert_id: str, recipient_id: str, address: str, sent_at: datetime) -> str:
    """Return the token for the link in a mail to `address`."""
    until = f"{int((sent_at + LASTS).timestamp()):x}"
    return f"{alert_id}.{recipient_id}.{until}.{_sign(secret, alert_id, recipient_id, until, address)}"


def read_answer_link(token: str) -> AnswerLink | None:
    """Return what a token says; None if it is none of ours. Its signature is not checked here."""
    found = _TOKEN.fullmatch(token)
    if found is None:
        return None
    try:
        return AnswerLink(found[1], found[2], datetime.fromtimestamp(int(found[3], 16), UTC))
    except (ValueError, OverflowError, OSError):
        return None


def signer_of(secret: bytes, token: str, addresses: Iterable[str]) -> str | None:
    """Return the address that the token was made for; None if it is none of these, or if we did not sign it."""
    found = _TOKEN.fullmatch(token)
    if found is None:
        return None
    signatures = {one: _sign(secret, found[1], found[2], found[3], one) for one in addresses}
    return next((one for one, signature in signatures.items() if hmac.compare_digest(found[4], signature)), None)


def _sign(secret: bytes, alert_id: str, recipient_id: str, until: str, address: str) -> str:
    signed = f"{alert_id}\n{recipient_id}\n{until}\n{address.casefold()}".encode("utf-8", "surrogatepass")
    return hmac.digest(secret, signed, "sha256").hex()[:_SIGNATURE]
