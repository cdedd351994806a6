"""The fields of each transport in the form of a recipient: one table of the options of transports, with label, hint and rule of each.

A test compares the table with the types of the options: each option has a field, and each secret is marked as one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from app.deliver.transports.syslog_line import FACILITIES

_ = str  # marks texts for the catalogs; they are translated when they are shown

MAIL_TRANSPORTS = ("smtp", "graph", "mapi", "file")


class FieldKind(StrEnum):
    """How a field is entered. `pairs` has lines such as `NAME: VALUE`; values of `hidden_pairs` and of `hidden` are secrets, and never shown."""

    TEXT = "text"
    NUMBER = "number"
    CHOICE = "choice"
    LONG = "long"
    PAIRS = "pairs"
    HIDDEN = "hidden"
    HIDDEN_PAIRS = "hidden_pairs"


@dataclass(frozen=True, slots=True)
class OptionField:
    """One option of a transport. `rule` is shown with its errors."""

    name: str
    kind: FieldKind
    label: str
    hint: str
    rule: str
    choices: tuple[str, ...] = ()


_CHOOSE = _("choose one of the list")
_CERTIFICATE = OptionField(
    "ca_certificate",
    FieldKind.LONG,
    _("Certificate of your own authority"),
    _("Only if the server's certificate is from an authority of your own. PEM: -----BEGIN CERTIFICATE----- and so on."),
    _("it must begin with -----BEGIN CERTIFICATE----- and have at most 20000 characters"),
)

TRANSPORT_FIELDS: Mapping[str, tuple[OptionField, ...]] = {
    "syslog": (
        OptionField(
            "facility",
            FieldKind.CHOICE,
            _("Facility"),
            _("The facility of each line, such as daemon or local0."),
            _CHOOSE,
            FACILITIES,
        ),
        _CERTIFICATE,
    ),
}

_ADDRESS_HINTS: Mapping[str, str] = {
    "webhook": _("A URL, such as https://hooks.example.org/tocsin"),
    "syslog": _("The server, such as tls://logs.example.org:6514; also tcp:// and udp://"),
}
_MAIL_HINT = _("A mail address, such as admin@example.org")


def address_hint(transport: str) -> str:
    """Return what an address of a transport looks like, in English."""
    return _ADDRESS_HINTS.get(transport, _MAIL_HINT)
