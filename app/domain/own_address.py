"""Signed mail addresses of our own: `bounces+<kind><id>.<signature>@domain`. A mail that comes to one names the message that it is about. Pure.

Only what we sent carries such an address, so a mail that was made up cannot turn a message into a bounced one. Everything in it
is lower-case letters and digits: servers on the way may change the case. The local part has at most 64 characters (RFC 5321,
section 4.5.3.1.1).
"""

import base64
import hashlib
import hmac
import re
from enum import StrEnum
from typing import assert_never

from app.core.settings_checks import BOUNCE_LOCAL_MOST

PURPOSE = "own-address"  # of the derived secret (`Secret.derive`)
LOCAL_MOST = 64
_DIGITS = 28  # of an id (see core/ids.py)
_SIGNATURE = LOCAL_MOST - BOUNCE_LOCAL_MOST - len("+k.") - _DIGITS  # 16 characters of base32: 80 bits
_OWN = re.compile(rf"[+]([a-z])([0-9a-f]{{{_DIGITS}}})\.([a-z2-7]{{{_SIGNATURE}}})(?![0-9A-Za-z._%+-])")


class AddressKind(StrEnum):
    """What a mail to such an address is about: a message that came back, or a canary that arrived."""

    BOUNCE = "b"
    CANARY = "c"

    @property
    def noun(self) -> str:
        """The prefix of the ids that it signs."""
        match self:
            case AddressKind.BOUNCE:
                return "msg"
            case AddressKind.CANARY:
                return "cny"
            case _:
                assert_never(self)


def sign_address(secret: bytes, base_address: str, kind: AddressKind, about: str) -> str:
    """Return our address for the message or canary with the id `about`. Raises ValueError for an id of another kind."""
    noun, _, digits = about.partition("_")
    if noun != kind.noun or not re.fullmatch(rf"[0-9a-f]{{{_DIGITS}}}", digits):
        raise ValueError(f"{about!r} is no id of a {kind.name.lower()}")
    local, _, domain = base_address.rpartition("@")
    return f"{local}+{kind}{digits}.{_sign(secret, kind + digits)}@{domain}"


def read_address(secret: bytes, text: str) -> tuple[AddressKind, str] | None:
    """Return the kind and the id of the first address of ours in `text`; None if there is none with a valid signature.

    The domain and what stands before the `+` do not count: both may have been changed in the settings since.
    """
    return next((found for found in _found(secret, text) if found is not None), None)


def is_forged(secret: bytes, text: str) -> bool:
    """Say whether `text` contains an address that looks like ours, and none whose signature is valid."""
    found = _found(secret, text)
    return bool(found) and not any(found)


def _found(secret: bytes, text: str) -> list[tuple[AddressKind, str] | None]:
    """Return what each text that has the form of an address of ours stands for; None where its signature is wrong."""
    found: list[tuple[AddressKind, str] | None] = []
    for letter, digits, signature in _OWN.findall(text.lower()):
        is_signed = hmac.compare_digest(_sign(secret, letter + digits), signature)
        kind = next((kind for kind in AddressKind if kind == letter), None)
        found.append((kind, f"{kind.noun}_{digits}") if is_signed and kind is not None else None)
    return found


def _sign(secret: bytes, text: str) -> str:
    digest = hmac.digest(secret, text.encode(), hashlib.sha256)
    return base64.b32encode(digest)[:_SIGNATURE].decode().lower()
