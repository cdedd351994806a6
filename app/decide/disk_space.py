"""Reports a disk that has little room left, or none, as an event of our own, and keeps room for the alert about it.

On PostgreSQL each worker sees the disks of its own host; those of the others are in their heartbeats.
"""

import asyncio
import socket
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from app.context import AppContext
from app.core import metrics
from app.core.disk import DiskTrouble, Space, limit_of
from app.core.log import log
from app.core.settings import Settings
from app.decide.own_trouble import OwnJob, find_own_job, report
from app.domain.disk_space import JOB, Disk, DiskStage, disk_event, stage_of
from app.domain.event import Event
from app.store.database_errors import WriteState
from app.store.heartbeats import Heartbeat, heartbeats_since
from app.store.monitoring import local_database_folders

_ALIVE = timedelta(minutes=1)
_FREE, _LIMIT = "tocsin_disk_free_bytes", "tocsin_disk_limit_bytes"


async def tick(context: AppContext) -> bool:
    """Look at the disks, keep the reserve, and write an event when a disk becomes low, full or well. Returns False: none is left."""
    settings, now = context.settings, context.clock()
    async with context.database.read() as tx:
        file = settings.database_file
        folders = [file.parent] if file is not None else [Path(one) for one in await local_database_folders(tx)]
        others = [] if tx.is_sqlite else await heartbeats_since(tx, now - _ALIVE)
        own = await find_own_job(tx, JOB)
    disks = await asyncio.to_thread(_look, folders, settings)
    writing = context.database.writing
    await asyncio.to_thread(_keep_reserve, writing)
    for disk in disks:
        metrics.DISK_FREE_BYTES.labels(disk.what).set(disk.free)
        metrics.DISK_LIMIT_BYTES.labels(disk.what).set(disk.limit)
    if own is not None:
        is_full = writing.is_saving_room or writing.trouble in (DiskTrouble.FULL, DiskTrouble.QUOTA)
        await _report(context, own, [*disks, *_of_other_hosts(others)], is_full=is_full)
    return False


async def _report(context: AppContext, own: OwnJob, disks: Sequence[Disk], *, is_full: bool) -> None:
    now = context.clock()
    stage = stage_of(disks, is_full=is_full, is_reported=own.is_reported)
    is_known = stage is DiskStage.LOW if own.is_reported else stage is DiskStage.WELL
    if stage is None or is_known:
        return

    def event_of(agent_id: str, since: datetime) -> Event:
        return disk_event(stage, disks, customer_id=own.customer_id, agent_id=agent_id, well_since=since, now=now)

    await report(context, own, event_of, now)


def _look(database_folders: Sequence[Path], settings: Settings) -> list[Disk]:
    """Return the disks of these folders and of var_dir, each once. A folder that cannot be asked, or is not there yet, is left out."""
    found: dict[int, Disk] = {}
    for what, folder in [*(("database", folder) for folder in database_folders), ("var_dir", settings.var_dir)]:
        try:
            space, device = Space.of(folder), folder.stat().st_dev
        except OSError:
            continue
        limit = limit_of(settings.disk_free, space.total)
        files_left = space.files if limit and space.has_few_files else None
        found.setdefault(device, Disk(what, socket.gethostname(), space.free, limit, files_left))
    return list(found.values())


def _keep_reserve(writing: WriteState) -> None:
    if writing.reserve is None or not writing.reserve.keep() or not writing.is_saving_room:
        return
    writing.is_saving_room = False
    log.warning("the disk of the database has room again: everything is stored")


def _of_other_hosts(heartbeats: Sequence[Heartbeat]) -> Iterator[Disk]:
    for heartbeat in heartbeats:
        host = heartbeat.worker.split(":")[1]
        if host == socket.gethostname():
            continue
        values = {
            (family["name"], labels["disk"]): int(value)
            for family in heartbeat.metrics
            if family["name"] in (_FREE, _LIMIT)
            for _, labels, value in family["samples"]
        }
        for name, what in values:
            if name == _FREE and (_LIMIT, what) in values:
                yield Disk(what, host, values[_FREE, what], values[_LIMIT, what])
