"""Opens the spool at the relay's start. One that is damaged is kept under another name, and a new one begun.

Nothing is sent twice by that: what had been begun comes again from the service, marked as what may have left.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path

from programs.relay.spool import Damaged, Spool

NAME = "spool.db"
_DAMAGED, _ENDINGS = ".damaged-", ("-wal", "-shm")
log = logging.getLogger("tocsin.relay")


def opened(folder: Path) -> Spool:
    """Open the spool in the relay's folder, for the relay itself: nobody else may set one aside."""
    path = folder / NAME
    try:
        return Spool(path)
    except Damaged as cause:
        kept = _put_aside(path)
        log.error("the spool was damaged (%s): a new one is begun, the old one is kept as %s", cause, kept.name)  # noqa: TRY400  (its trace says no more)
        return Spool(path)


def kept_beside(spool: Spool) -> str:
    """Name the damaged spool that still lies beside this one, the newest; empty if there is none."""
    found = (path.name for path in spool.path.parent.glob(f"{spool.path.name}{_DAMAGED}*"))
    return max((name for name in found if not name.endswith(_ENDINGS)), default="")


def _put_aside(path: Path) -> Path:
    kept = path.with_name(f"{path.name}{_DAMAGED}{datetime.now(timezone.utc):%Y%m%d-%H%M%S}")
    # First: after a kill it would be opened without what only its log has. A new file heeds no old log.
    path.replace(kept)
    for ending in _ENDINGS:
        with suppress(FileNotFoundError):
            path.with_name(path.name + ending).replace(kept.with_name(kept.name + ending))
    return kept
