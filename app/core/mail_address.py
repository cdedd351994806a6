"""Split `Name <local@domain>` in the same way on every Python version."""

from email import utils
from functools import lru_cache

import idna

# Since the fix of CVE-2023-27043 (3.13, 3.12.4, and Debian's 3.11.2) the standard library reads strictly unless asked not to. Strict
# reading returns nothing for an address literal such as a@[192.0.2.1], which RFC 5321, section 4.1.3, allows: a sender that had
# worked would stop working with a newer Python. Callers check the address that they get against their own pattern.
_LENIENT = {"strict": False} if getattr(utils, "supports_strict_parsing", False) else {}


def split_address(text: str) -> tuple[str, str]:
    """Return the name and the address of one mailbox (RFC 5322); two empty strings if there is none in `text`."""
    return utils.parseaddr(text, **_LENIENT)


def ascii_domain(address: str) -> str | None:
    """Return the address with its domain in ASCII (IDNA 2008, after the mapping of UTS 46), which every mail server can carry. None if it has no such form."""
    local, at, domain = address.rpartition("@")
    if domain.isascii():
        return address
    try:
        return f"{local}{at}{idna.encode(domain, uts46=True).decode('ascii')}"
    except (idna.IDNAError, UnicodeError):
        return None


def message_id_header(our_id: str, sender: str) -> str:
    """Return the Message-ID of a mail: `<id@domain>`, with the domain of a sender such as `Tocsin <tocsin@example.org>`. Always ASCII (RFC 5322 section 3.6.4).

    It is made once, when the message is composed, and stays the same for each attempt and on each transport.
    """
    return f"<{our_id}@{_domain_of(sender)}>"


@lru_cache(maxsize=100)  # there is one sender, and several ids in each mail
def _domain_of(sender: str) -> str:
    return (ascii_domain(split_address(sender)[1]) or "").rpartition("@")[2] or "tocsin.invalid"
