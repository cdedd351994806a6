"""Creates, changes and deletes what administrators manage, each with its audit entry in the same transaction.

What is particular to a noun is in the noun's own file, which calls these functions. Nothing here knows HTTP.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime

from app.admin.audit import note
from app.core.errors import NotFound, StaleEdit
from app.store.repository import Repository, StoredRow
from app.store.row_mapping import V
from app.store.transactions import WriteTx


@dataclass(frozen=True, slots=True)
class Editor:
    """Who edits, when, and `wake`, which wakes a stage once the edit is committed. `sent`: the names of the fields that a change sets."""

    who: str
    at: datetime
    wake: Callable[[str], None]
    sent: Collection[str] = ()
    who_id: str | None = None  # of the person or the key; None: neither did it


async def lock(tx: WriteTx, repository: Repository[V], row_id: str, versions: Collection[int] | None = None) -> V:
    """Return a thing, locked until the commit. Raises NotFound, and StaleEdit if its version is none of `versions`."""
    found = await repository.get(tx, row_id, for_change=True)
    _check_version(repository.noun, found.version, versions)
    return found


async def lock_to_change(
    tx: WriteTx, repository: Repository[V], row_id: str, by: Editor, versions: Collection[int] | None
) -> V:
    """Return a thing to be changed, as `lock` does. A row of another version is made readable first if all that it cannot be read by is sent.

    What was there stays in the audit log.
    """
    row = await repository.find_row(tx, row_id) if by.sent else None
    unreadable = {} if row is None else repository.mapping.unreadable(row.values)
    if row is None or not unreadable or not unreadable.keys() <= set(by.sent):
        return await lock(tx, repository, row_id, versions)
    _check_version(repository.noun, row.version, versions)
    await repository.make_readable(tx, row_id, unreadable)
    change = {name: [row.values[name], empty] for name, empty in unreadable.items()}
    await note(tx, by, "repair", repository.noun, row_id, change)
    return await lock(tx, repository, row_id)


async def lock_to_delete(
    tx: WriteTx, repository: Repository[V], row_id: str, versions: Collection[int] | None
) -> StoredRow:
    """Return a row to be deleted, locked until the commit. Raises NotFound, and StaleEdit as `lock` does.

    The row need not be readable: one that another version wrote must not stay for ever.
    """
    row = await repository.find_row(tx, row_id)
    if row is None:
        raise NotFound(f"there is no {repository.noun} {row_id}")
    _check_version(repository.noun, row.version, versions)
    return row


async def insert(tx: WriteTx, repository: Repository[V], thing: V, by: Editor) -> V:
    """Store a new thing with its audit entry, and return it. Raises Conflict if its name is taken."""
    await repository.insert(tx, thing)
    await note(tx, by, "create", repository.noun, thing.id, repository.edited_values(thing))
    return await lock(tx, repository, thing.id)


async def save(tx: WriteTx, repository: Repository[V], before: V, after: V, by: Editor) -> V:
    """Store an edit of a thing that `lock` returned, with its audit entry, and return the thing as it is now."""
    await repository.update(tx, before, after)
    await note(tx, by, "change", repository.noun, before.id, repository.edits(before, after))
    return await lock(tx, repository, before.id)


async def delete(tx: WriteTx, repository: Repository[V], row: StoredRow, by: Editor) -> None:
    """Delete a row that `lock_to_delete` returned, with its audit entry. Raises Conflict while another row refers to it."""
    await repository.delete(tx, row.id)
    await note(tx, by, "delete", repository.noun, row.id, row.values)


def _check_version(noun: str, version: int, versions: Collection[int] | None) -> None:
    if versions is not None and version not in versions:
        raise StaleEdit(f"the {noun} has version {version} now; read it again")
