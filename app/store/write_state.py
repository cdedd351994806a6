"""Whether the database can be written: what the last writes of this process showed. One log line tells that it cannot, and one that it can again."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

from app.core import metrics
from app.core.disk import DiskTrouble, Reserve, diagnose
from app.core.errors import CannotWrite
from app.core.log import log
from app.store.database_errors import describe_error, describe_trouble, raise_unavailable

CALM_S = (
    10.0  # a small write may succeed on a disk on which large ones fail: it is over when none has failed for this long
)
_LOG_AGAIN_S = 600.0
_DIAGNOSE_S = 5.0


@dataclass(slots=True)
class WriteState:
    """`file` is that of SQLite, None on PostgreSQL. Times are of the monotonic clock.

    `is_saving_room`: the reserve was given up, so that only failures are taken in until it is kept again.
    """

    file: Path | None = None
    reserve: Reserve | None = None
    trouble: DiskTrouble | None = None
    is_saving_room: bool = False
    written_at: float = float("-inf")
    trial: asyncio.Task[None] | None = None
    tried_at: float = float("-inf")
    _since: float = 0.0
    _failed_at: float = float("-inf")
    _logged: dict[DiskTrouble, float] = field(default_factory=dict)

    @contextlib.asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        """Raise Unavailable in place of an error of the database, and CannotWrite where its disk is at fault, which is noted."""
        try:
            with raise_unavailable():
                yield
        except CannotWrite as error:
            raise await self._note(error) from error.__cause__

    def refuse_routine(self) -> None:
        """Raise CannotWrite while only the room is left that is kept for failures."""
        if self.is_saving_room:
            raise CannotWrite(
                "the disk of the database is full; what room is left is kept for failures; send this again later",
                code=DiskTrouble.FULL,
            )

    def note_written(self) -> None:
        """Note that something was written. A transaction that changed nothing proves nothing."""
        self.written_at = time.monotonic()
        if self.trouble is None or self.written_at - self._failed_at < CALM_S:
            return
        log.warning("the database can be written again", after_s=round(self.written_at - self._since), was=self.trouble)
        self.trouble = None
        metrics.WRITABLE.set(1)

    async def _note(self, error: CannotWrite) -> CannotWrite:
        trouble, found_room = DiskTrouble(error.code), False
        if trouble is DiskTrouble.BROKEN and self.file is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_DIAGNOSE_S):
                    found = await asyncio.to_thread(diagnose, self.file.parent, self.file)
                    trouble = found or trouble
        now = time.monotonic()
        if self.trouble is None:
            self._since = now
        self.trouble, self._failed_at = trouble, now
        metrics.WRITE_FAILURES.labels(trouble.value).inc()
        metrics.WRITABLE.set(0)
        if now - self._logged.get(trouble, float("-inf")) > _LOG_AGAIN_S:
            self._logged[trouble] = now
            cause = None if error.__cause__ is None else describe_error(error.__cause__)
            log.error(
                f"the database cannot be written: {trouble.what}; {trouble.mend}", code=trouble.value, cause=cause
            )
        if trouble in (DiskTrouble.FULL, DiskTrouble.QUOTA) and self.reserve is not None and not self.is_saving_room:
            self.is_saving_room = await asyncio.to_thread(self.reserve.give_up)
            if self.is_saving_room:
                log.warning(
                    "the room that was kept for alerts is free now; until there is more, only failures are stored"
                )
                found_room = True
        named = CannotWrite(describe_trouble(trouble), code=trouble)
        named.made_room = found_room
        return named
