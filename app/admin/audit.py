"""Records who changed what, in the transaction that changes it."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from app.core.ids import new_id
from app.domain.audit_entry import AuditEntry, without_secrets
from app.domain.person import Person
from app.store.edits import AUDIT, ids_done_at
from app.store.row_mapping import SEALED
from app.store.transactions import ReadTx, WriteTx


class Actor(Protocol):
    """Who does something, and when. `who_id` is the id of the person or the key, whose name others may have too; None for others."""

    @property
    def who(self) -> str:
        """The name."""

    @property
    def at(self) -> datetime:
        """When it is done."""

    @property
    def who_id(self) -> str | None:
        """The id."""


@dataclass(frozen=True, slots=True)
class Self:
    """A person who changes their own sign-in, or a stranger who tries to sign in."""

    who: str
    at: datetime
    who_id: str | None = None

    @classmethod
    def of(cls, person: Person, at: datetime) -> "Self":
        """Return a person as the one who acts now."""
        return cls(person.name, at, person.id)


async def note(
    tx: WriteTx, by: Actor, action: str, noun: str, item_id: str, change: Mapping[str, object] | None
) -> None:
    """Add one entry. `change` has the values of what was created or deleted, or [before, after] of each value that was changed."""
    plain = without_secrets(noun, None if change is None else {name: _as_json(one) for name, one in change.items()})
    await AUDIT.insert(tx, AuditEntry(new_id("aud"), by.at, by.who, action, noun, item_id, plain, by.who_id))


async def done_at(tx: ReadTx, by: Actor, action: str, noun: str, at: datetime) -> set[str]:
    """Return the ids of the things to which this person or key did this at this moment, by its id: names are not unique."""
    if by.who_id is None:
        return set()
    return await ids_done_at(tx, by.who_id, action, noun, at)


def _as_json(value: object) -> object:
    """Return what JSON can hold: times as RFC 3339 text."""
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Mapping):
        if value.keys() == {SEALED}:  # a secret: that it changed is shown, not even its encrypted form
            return f"secret {hashlib.sha256(str(value[SEALED]).encode()).hexdigest()[:8]}"
        return {name: _as_json(one) for name, one in value.items()}
    return [_as_json(one) for one in value] if isinstance(value, list | tuple) else value
