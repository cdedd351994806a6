"""Records who changed what, in the transaction that changes it."""

from collections.abc import Mapping
from datetime import datetime

from app.core.ids import new_id
from app.domain.audit_entry import AuditEntry
from app.store.audit import AUDIT
from app.store.transactions import WriteTx


async def note(
    tx: WriteTx, who: str, at: datetime, action: str, noun: str, item_id: str, change: Mapping[str, object] | None
) -> None:
    """Add one entry. `change` has the values of what was created or deleted, or [before, after] of each value that was changed."""
    plain = None if change is None else {name: _as_json(value) for name, value in change.items()}
    await AUDIT.insert(tx, AuditEntry(new_id("aud"), at, who, action, noun, item_id, plain))


def _as_json(value: object) -> object:
    """Return what JSON can hold: times as RFC 3339 text."""
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {name: _as_json(one) for name, one in value.items()}
    return [_as_json(one) for one in value] if isinstance(value, list | tuple) else value
