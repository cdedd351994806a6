"""Deletes mails of the transport `file` that are older than the retention, from this host's own folder."""

import asyncio
from datetime import timedelta

from app.context import AppContext
from app.core.log import log
from app.deliver.transports.file import written_before
from app.store.purge import find_retention


async def tick(context: AppContext) -> bool:
    """Delete the mails that are older than history may get, like their messages. Returns False: nothing is left to delete."""
    async with context.database.read() as tx:
        set_days = await find_retention(tx)
    days = context.settings.keep_history_days if set_days is None else set_days.keep_history_days
    folder, before = context.settings.var_dir / "mail", context.clock() - timedelta(days=days)

    def remove() -> int:
        removed = 0
        for file in written_before(folder, before):
            try:
                file.unlink(missing_ok=True)
            except OSError as cause:  # a disk error is no reason to keep the others
                log.warning("an expired mail cannot be deleted", file=file.name, cause=str(cause))
            else:
                removed += 1
        return removed

    removed = await asyncio.to_thread(remove)
    if removed:
        log.info("deleted expired mails", files=removed)
    return False
