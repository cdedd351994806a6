"""Opens the spool at the relay's start. One that is damaged is kept under another name, and a new one begun.

Nothing is sent twice by that: what had been begun comes again from the service, marked as what may have left.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path

from app.relay.spool import Damaged, Spool

NAME = "spool.db"
_FACT = "set aside"
log = logging.getLogger("tocsin.relay")


def opened(folder: Path) -> Spool:
    """Open the spool in the relay's folder, for the relay itself: nobody else may set one aside."""
    path = folder / NAME
    try:
        return Spool(path)
    except Damaged as cause:
        kept = _put_aside(path)
        log.error("the spool was damaged (%s): a new one is begun, the old one is kept as %s", cause, kept.name)  # noqa: TRY400  (its trace says no more)
        spool = Spool(path)
        spool.remember(_FACT, kept.name)
        return spool


def kept_beside(spool: Spool) -> str:
    """Name the damaged spool that still lies beside this one; empty if there is none."""
    name = spool.recall(_FACT)
    return name if name and spool.path.with_name(name).exists() else ""


def _put_aside(path: Path) -> Path:
    kept = path.with_name(f"{path.name}.damaged-{datetime.now(timezone.utc):%Y%m%d-%H%M%S}")
    for ending in ("-wal", "-shm"):  # SQLite would read them into the new file
        with suppress(FileNotFoundError):
            path.with_name(path.name + ending).replace(kept.with_name(kept.name + ending))
    return path.replace(kept)
