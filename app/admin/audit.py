"""Notes who changed what, in the transaction that changes it."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from app.core.ids import new_id
from app.store.audit import AUDIT
from app.store.transactions import WriteTx


async def note(
    tx: WriteTx, who: str, at: datetime, action: str, noun: str, thing_id: str, change: Mapping[str, Any]
) -> None:
    """Add one entry. `change` has the values given, or [before, after] for each value that an edit changed."""
    entry = {"id": new_id("aud"), "at": at, "who": who, "action": action, "noun": noun, "thing_id": thing_id}
    await AUDIT.insert(tx, {**entry, "change": _plain(change)})


def _plain(value: Any) -> Any:  # noqa: ANN401
    """Give what JSON can hold: moments as text."""
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {name: _plain(one) for name, one in value.items()}
    return [_plain(one) for one in value] if isinstance(value, list | tuple) else value
