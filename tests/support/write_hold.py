"""Measures how long transactions keep others from writing, in CPU time: a busy machine makes any wall time long."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncConnection

from app.core import metrics
from app.store.transactions import HOLD_WATCHERS
from tests.support.other_objects import leave_out_other_objects


@dataclass(frozen=True, slots=True)
class Hold:
    """One transaction: the CPU seconds of this process and, on PostgreSQL, of the server process that executed it; and the stage, if known."""

    cpu_s: float
    stage: str | None


@dataclass(slots=True)
class Holds:
    """The write transactions of this process, in their order."""

    seen: list[Hold] = field(default_factory=list)

    @property
    def longest_s(self) -> float:
        """The CPU seconds of the longest one; 0 if there was none."""
        return max((hold.cpu_s for hold in self.seen), default=0.0)


@contextmanager
def measured_holds() -> Iterator[Holds]:
    """Record every write transaction of this process while the block runs.

    The CPU time is that of the whole process. So let nothing else run next to the work whose transactions are measured.
    """
    holds = Holds()
    leave_out_other_objects()

    @contextmanager
    def watch(connection: AsyncConnection) -> Iterator[None]:
        server = _server_process(connection)
        began = time.process_time() + _cpu_s(server)
        try:
            yield
        finally:
            holds.seen.append(Hold(time.process_time() + _cpu_s(server) - began, metrics.CURRENT_STAGE.get()))

    HOLD_WATCHERS.append(watch)
    try:
        yield holds
    finally:
        HOLD_WATCHERS.remove(watch)


def _server_process(connection: AsyncConnection) -> int | None:
    """Return the id of the PostgreSQL process that serves a connection."""
    if connection.dialect.name == "sqlite":
        return None
    proxied = connection.sync_connection
    assert proxied is not None
    pid: int = proxied.connection.driver_connection.get_server_pid()  # type: ignore[union-attr]
    return pid


def _cpu_s(pid: int | None) -> float:
    return 0.0 if pid is None else int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9
