"""What administrators do to the retention. Until one sets it, the settings hold (version 0)."""

from collections.abc import Collection

from app.admin.audit import note
from app.admin.editing import Editor
from app.core.errors import StaleEdit
from app.core.settings import Settings
from app.domain.retention import Retention
from app.store.purge import find_retention, save_retention
from app.store.transactions import ReadTx, WriteTx


async def current_retention(tx: ReadTx, settings: Settings, *, for_change: bool = False) -> Retention:
    """Return the days that hold."""
    of_settings = Retention(settings.keep_events_days, settings.keep_history_days)
    return await find_retention(tx, for_change=for_change) or of_settings


async def set_retention(
    tx: WriteTx,
    settings: Settings,
    by: Editor,
    *,
    keep_events_days: int,
    keep_history_days: int,
    versions: Collection[int] | None = None,
) -> Retention:
    """Set the days. Raises StaleEdit if the present version is none of `versions`."""
    before = await current_retention(tx, settings, for_change=True)
    if versions is not None and before.version not in versions:
        raise StaleEdit(f"the retention has version {before.version} now; read it again")
    after = Retention(keep_events_days, keep_history_days, before.version + 1)
    await save_retention(tx, after)
    change = {
        "keep_events_days": [before.keep_events_days, keep_events_days],
        "keep_history_days": [before.keep_history_days, keep_history_days],
    }
    await note(tx, by, "change", "retention", "1", change)
    return after
