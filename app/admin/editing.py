"""Creates, changes and deletes what administrators manage, with the audit entry in the same transaction: the one way to edit.

Each noun's own rules lie in its own file and are called from here. It must not know HTTP.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from app.admin.audit import note
from app.core.errors import NotFound, StaleEdit
from app.core.ids import new_id
from app.domain.record import Record
from app.store.records import Records
from app.store.repository import Repository
from app.store.row_mapping import V
from app.store.transactions import WriteTx


@dataclass(frozen=True, slots=True)
class Editor:
    """Who edits, when, and `wake`, which wakes a stage once the edit is committed."""

    who: str
    at: datetime
    wake: Callable[[str], None]


Values = dict[str, Any]
# Checks an edit and gives the values to store. `before` is None for a new thing. Raises BadInput or Conflict.
Prepare = Callable[[WriteTx, Values, Record | None, Editor], Awaitable[Values]]
# Does what else a deletion means, or raises Conflict with the reason why it must not be.
Detach = Callable[[WriteTx, Record, Editor], Awaitable[None]]


async def _as_given(_unit: WriteTx, values: Values, _before: Record | None, _by: Editor) -> Values:
    return values


async def _nothing_attached(_unit: WriteTx, _thing: Record, _by: Editor) -> None:
    return


@dataclass(frozen=True, slots=True)
class Noun:
    """A kind of thing that administrators manage: its name, its rows and its own rules."""

    name: str
    records: Records
    prepare: Prepare = _as_given
    detach: Detach = _nothing_attached
    is_kept: bool = False  # a deletion only ends it (done by `detach`), so that history stays true


async def create(tx: WriteTx, noun: Noun, given: Mapping[str, Any], by: Editor) -> Record:
    """Add a thing."""
    thing_id = new_id(noun.records.noun)
    values = await noun.prepare(tx, {**given, "id": thing_id, "created_at": by.at}, None, by)
    await noun.records.insert(tx, values)
    await note(tx, by.who, by.at, "create", noun.name, thing_id, dict(given))
    return await get(tx, noun, thing_id)


async def get(tx: WriteTx, noun: Noun, thing_id: str, *, versions: Collection[int] | None = None) -> Record:
    """Give a thing, locked until the commit. Raises NotFound, and StaleEdit if it is at none of the `versions` expected."""
    found = await noun.records.find(tx, thing_id, for_change=True)
    if found is None:
        raise NotFound(f"there is no {noun.name} {thing_id}")
    if versions is not None and found.version not in versions:
        raise StaleEdit(f"the {noun.name} is at version {found.version} by now; read it again")
    return found


async def change(tx: WriteTx, noun: Noun, before: Record, given: Mapping[str, Any], by: Editor) -> Record:
    """Change a thing that `get` locked; what stays as it was is no edit and leaves the version alone."""
    changed = {name: value for name, value in given.items() if before.fields[name] != value}
    if not changed:
        return before
    values = await noun.prepare(tx, changed, before, by)
    await noun.records.change(tx, before.id, values)
    told = {name: [before.fields[name], value] for name, value in changed.items()}
    await note(tx, by.who, by.at, "change", noun.name, before.id, told)
    return await get(tx, noun, before.id)


async def remove(tx: WriteTx, noun: Noun, thing: Record, by: Editor) -> None:
    """Delete a thing that `get` locked, or end it where history must stay true."""
    await noun.detach(tx, thing, by)
    if not noun.is_kept:
        await noun.records.remove(tx, thing.id)
    await note(tx, by.who, by.at, "delete", noun.name, thing.id, dict(thing.fields))


async def lock(tx: WriteTx, repository: Repository[V], thing_id: str, versions: Collection[int] | None = None) -> V:
    """Return a thing, locked until the commit. Raises NotFound, and StaleEdit if its version is none of `versions`."""
    found = await repository.get(tx, thing_id, for_change=True)
    if versions is not None and found.version not in versions:
        raise StaleEdit(f"the {repository.noun} has version {found.version} now; read it again")
    return found


async def insert(tx: WriteTx, repository: Repository[V], thing: V, by: Editor) -> V:
    """Store a new thing with its audit entry, and return it. Raises Conflict if its name is taken."""
    await repository.insert(tx, thing)
    await note(tx, by.who, by.at, "create", repository.noun, thing.id, repository.edited_values(thing))
    return await lock(tx, repository, thing.id)


async def save(tx: WriteTx, repository: Repository[V], before: V, after: V, by: Editor) -> V:
    """Store an edit of a thing that `lock` returned, with its audit entry, and return the thing as it is now."""
    await repository.update(tx, before, after)
    await note(tx, by.who, by.at, "change", repository.noun, before.id, repository.edits(before, after))
    return await lock(tx, repository, before.id)


async def delete(tx: WriteTx, repository: Repository[V], thing: V, by: Editor) -> None:
    """Delete a thing that `lock` returned, with its audit entry. Raises Conflict while another thing refers to it."""
    await repository.delete(tx, thing.id)
    await note(tx, by.who, by.at, "delete", repository.noun, thing.id, repository.values(thing))
