"""Takes away mails of the transport `file` that are kept no longer, from this host's own folder. It must not touch files that it did not write."""

import asyncio
from datetime import datetime, timedelta
from pathlib import Path

from app.context import AppContext
from app.core.log import log
from app.deliver.transports.file import written_before
from app.store.retention import find_retention


async def tick(context: AppContext) -> bool:
    """Remove what is as old as history may get, as the messages of these mails are; False, for all of it is gone then."""
    async with context.database.read() as tx:
        set_days = await find_retention(tx)
    days = context.settings.keep_history_days if set_days is None else set_days.fields["keep_history_days"]
    before = context.clock() - timedelta(days=days)
    removed = await asyncio.to_thread(_remove, context.settings.var_dir / "mail", before)
    if removed:
        log.info("removed mails that are kept no longer", files=removed)
    return False


def _remove(folder: Path, before: datetime) -> int:
    removed = 0
    for file in written_before(folder, before):
        try:
            file.unlink(missing_ok=True)
        except OSError as cause:  # the disk's fault, and no reason to keep the others
            log.warning("a mail that is kept no longer cannot be removed", file=file.name, cause=str(cause))
        else:
            removed += 1
    return removed
