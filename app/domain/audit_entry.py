"""An entry of the audit log: who changed what, and when. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime


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
