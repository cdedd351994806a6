"""Creates, changes and deletes what administrators manage, each with its audit entry in the same transaction.

What is particular to a noun is in the noun's own file, which calls these functions. Nothing here knows HTTP.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime

from app.admin.audit import note
from app.core.errors import StaleEdit
from app.store.repository import Repository
from app.store.row_mapping import V
from app.store.transactions import WriteTx


@dataclass(frozen=True, slots=True)
class Editor:
    """Who edits, when, and `wake`, which wakes a stage once the edit is committed."""

    who: str
    at: datetime
    wake: Callable[[str], None]


async def lock(tx: WriteTx, repository: Repository[V], row_id: str, versions: Collection[int] | None = None) -> V:
    """Return a thing, locked until the commit. Raises NotFound, and StaleEdit if its version is none of `versions`."""
    found = await repository.get(tx, row_id, for_change=True)
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
