"""Retention: for how many days what is kept. Until an administrator says otherwise, the settings hold (version 0)."""

from collections.abc import Collection

from app.admin.audit import note
from app.admin.editing import Editor
from app.core.errors import StaleEdit
from app.core.settings import Settings
from app.domain.record import Record
from app.store.retention import find_retention, save_retention
from app.store.transactions import ReadTx, WriteTx


async def present(tx: ReadTx, settings: Settings, *, for_change: bool = False) -> Record:
    """Give the days that hold."""
    days = {"keep_events_days": settings.keep_events_days, "keep_history_days": settings.keep_history_days}
    return await find_retention(tx, for_change=for_change) or Record("1", 0, days)


async def put(
    tx: WriteTx, settings: Settings, given: dict[str, int], versions: Collection[int] | None, by: Editor
) -> Record:
    """Set the days. Raises StaleEdit if they are at none of the `versions` expected."""
    before = await present(tx, settings, for_change=True)
    if versions is not None and before.version not in versions:
        raise StaleEdit(f"the retention is at version {before.version} by now; read it again")
    await save_retention(tx, **given, version=before.version + 1)
    told = {name: [before.fields[name], days] for name, days in given.items()}
    await note(tx, by.who, by.at, "change", "retention", before.id, told)
    return await present(tx, settings)
