"""An entry of the audit log: who changed what, and when. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from app.domain.recipient import shown_address
from app.domain.transport_options import is_secret_header

_HAVE_ADDRESSES = ("recipient", "transport")


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """`who` is the name of the person or of the key, and `who_id` its id. `change` has what was created or deleted, or [before, after] of each value."""

    id: str
    at: datetime
    who: str
    action: str
    noun: str
    thing_id: str
    change: Mapping[str, object] | None = None
    who_id: str | None = None


def without_secrets(noun: str, change: Mapping[str, object] | None) -> Mapping[str, object] | None:
    """Return a change as everybody may see it who reads the log: of the URL of a webhook the host and the start, and no secret header."""
    if change is None or noun not in _HAVE_ADDRESSES:
        return change
    return {name: _hidden(name, value) for name, value in change.items()}


def _hidden(name: str, value: object) -> object:
    if isinstance(value, Mapping):
        is_headers = name == "headers"
        return {
            key: "secret" if is_headers and is_secret_header(key) else _hidden(key, one) for key, one in value.items()
        }
    if isinstance(value, list | tuple):
        return [_hidden(name, one) for one in value]
    return shown_address(value) if name == "address" and isinstance(value, str) else value
