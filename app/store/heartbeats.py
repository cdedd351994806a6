"""Whether the service works: heartbeats of workers, the trial write, and the probe of another installation.

Each worker has a row, and one row says since when workers have run without a gap. A worker that stops cleanly deletes its own row. What
a gap means is decided in `decide/missed.py`. The trial write is there so that a database that answers queries and cannot be written is
not called ready. The probe and its pings are one row, which never grows in number (`domain/probe.py`).
"""

import asyncio
import time
from collections.abc import Collection, Iterable
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, func, insert, or_, select, text, update
from sqlalchemy.dialects import postgresql, sqlite

from app.core.errors import Unavailable
from app.domain.probe import Pings, Probe
from app.store.engine import keep_lock
from app.store.tables import NEW, TROUBLE, events
from app.store.tables_managed import heartbeats, listening
from app.store.tables_managed import probe as table
from app.store.transactions import Database, ReadTx, WriteTx

_DEAD_AFTER = timedelta(seconds=10)  # two heartbeats
_WORKER_LOCK = 0x776B  # the first half of the number of an advisory lock: nothing else uses it
GAP = timedelta(minutes=1)  # workers update the row every five seconds
_UNREADABLE = "tocsin_unreadable_rows"
_ONLY, _TRIAL = 1, 2  # rows of `listening`


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """A worker's last heartbeat: which transports it serves, and its metrics."""

    worker: str
    started_at: datetime
    at: datetime
    transports: tuple[str, ...]
    metrics: list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Listening:
    """When a worker updated the row last, and when the last gap before that ended; None: there never was one."""

    at: datetime
    since: datetime | None


async def write_heartbeat(tx: WriteTx, heartbeat: Heartbeat) -> None:
    """Insert or update a worker's heartbeat."""
    values = {"at": heartbeat.at, "transports": list(heartbeat.transports), "metrics": heartbeat.metrics}
    updated = await tx.connection.execute(
        update(heartbeats).where(heartbeats.c.worker == heartbeat.worker).values(**values)
    )
    if updated.rowcount == 0:
        await tx.connection.execute(
            insert(heartbeats).values(worker=heartbeat.worker, started_at=heartbeat.started_at, **values)
        )


@dataclass(slots=True)
class WorkerSession:
    """The lock that shows the workers of all hosts that this one lives. Only on PostgreSQL."""

    _held_since: float | None = None

    async def keep(self, database: Database, worker: str) -> None:
        """Hold it until cancelled."""
        await keep_lock(database.engines, f"pg_advisory_lock({_WORKER_LOCK}, hashtext($1))", worker, self._note)

    @property
    def is_settled(self) -> bool:
        """Whether others can be judged by theirs: after a restart of the database nobody has one for a moment."""
        held_since, now = self._held_since, asyncio.get_running_loop().time()
        return held_since is not None and now - held_since > _DEAD_AFTER.total_seconds()

    def _note(self, held_since: float | None) -> None:
        self._held_since = held_since


async def dead_workers(tx: ReadTx, holders: Collection[str], now: datetime) -> list[str]:
    """Return which holders of leases are workers that died, on whatever host: their sessions have ended, and so have their heartbeats.

    A lost connection alone proves nothing, because a worker may go on sending. A worker that wrote no heartbeat yet is not judged.
    """
    late = select(heartbeats.c.worker).where(heartbeats.c.worker.in_(holders), heartbeats.c.at < now - _DEAD_AFTER)
    found = list(await tx.connection.scalars(late)) if holders else []
    is_free = text(
        f"SELECT pg_try_advisory_xact_lock({_WORKER_LOCK}, hashtext(:worker))"
    )  # until this transaction ends
    return [worker for worker in found if await tx.connection.scalar(is_free, {"worker": worker})]


async def delete_heartbeat(tx: WriteTx, worker: str) -> None:
    """Delete the heartbeat of a worker that stops on purpose."""
    await tx.connection.execute(delete(heartbeats).where(heartbeats.c.worker == worker))


async def delete_old_heartbeats(tx: WriteTx, before: datetime) -> None:
    """Delete the heartbeats of workers that died long ago."""
    await tx.connection.execute(delete(heartbeats).where(heartbeats.c.at < before))


async def heartbeats_since(tx: ReadTx, moment: datetime) -> list[Heartbeat]:
    """Return the heartbeats since `moment`, newest first."""
    rows = await tx.connection.execute(
        select(heartbeats).where(heartbeats.c.at >= moment).order_by(heartbeats.c.at.desc())
    )
    return [Heartbeat(row.worker, row.started_at, row.at, tuple(row.transports), row.metrics) for row in rows]


def unreadable_of(workers: Iterable[Heartbeat]) -> int:
    """Return how many rows these workers cannot read; one that several cannot read counts for each."""
    return int(
        sum(
            sample[2]
            for worker in workers
            for family in worker.metrics
            if family["name"] == _UNREADABLE
            for sample in family["samples"]
        )
    )


async def database_time(tx: ReadTx) -> datetime:
    """Return the time of the database server."""
    moment: datetime = (await tx.connection.execute(select(func.now()))).scalar_one()
    return moment


async def note_listening(tx: WriteTx, now: datetime) -> None:
    """Note that a worker runs at `now`. If none did for a while, a gap has just ended."""
    found = await find_listening(tx, for_change=True)
    if found is None:
        await tx.connection.execute(insert(listening).values(id=_ONLY, at=now, since=None))
        return
    since = now if now - found.at > GAP else found.since
    change = update(listening).where(listening.c.id == _ONLY)
    await tx.connection.execute(change.values(at=max(now, found.at), since=since))


async def write_trial(tx: WriteTx, now: datetime) -> None:
    """Change a row that nothing reads, to see whether the database can be written."""
    changed = await tx.connection.execute(update(listening).where(listening.c.id == _TRIAL).values(at=now))
    if changed.rowcount == 0:
        insert_one = sqlite.insert if tx.is_sqlite else postgresql.insert
        await tx.connection.execute(insert_one(listening).values(id=_TRIAL, at=now).on_conflict_do_nothing())


async def find_listening(tx: ReadTx, *, for_change: bool = False) -> Listening | None:
    """Return what was noted, or None if no worker ever ran."""
    query = select(listening).where(listening.c.id == _ONLY)
    row = (await tx.connection.execute(query.with_for_update() if for_change else query)).one_or_none()
    return None if row is None else Listening(row.at, row.since)


PROVEN_S = 15.0  # workers write every five seconds
AGAIN_S = 5.0
_BUSY_S = 60.0


async def check_writable(database: Database, now: datetime, patience_s: float) -> None:
    """Return if the database can be written. Raises CannotWrite, or Unavailable.

    Writes only if nothing was written for a while, and at most every five seconds, however many ask.
    """
    state, moment = database.writing, time.monotonic()
    if state.trouble is None and moment - state.written_at < PROVEN_S:
        return
    if state.trial is None or (state.trial.done() and moment - state.tried_at >= AGAIN_S):
        state.trial, state.tried_at = asyncio.create_task(_try_to_write(database, now)), moment
    await asyncio.wait([state.trial], timeout=patience_s)  # the trial goes on: the writer may just be busy
    if state.trial.done():
        state.trial.result()
    elif moment - state.written_at > _BUSY_S:
        raise Unavailable("the database answers, but could not be written for a minute; try again")


async def _try_to_write(database: Database, now: datetime) -> None:
    async with database.write() as tx:
        await write_trial(tx, now)
    database.writing.note_written()


_PROBE_ROW = 1
_TROUBLE_MOST = 10_000  # waiting events that are looked at for the oldest one


async def find_probe(tx: ReadTx) -> Probe | None:
    """Return the newest probe; None before the first one."""
    row = (await tx.connection.execute(select(table).where(table.c.id == _PROBE_ROW))).mappings().one_or_none()
    if row is None or row["probe_id"] is None:
        return None
    return Probe(row["probe_id"], *(row[field.name] for field in fields(Probe)[1:]))


async def take_turn(tx: WriteTx, now: datetime, since: datetime) -> bool:
    """Take the turn to ping, unless this or another process had it since a moment."""
    insert = (sqlite.insert if tx.is_sqlite else postgresql.insert)(table).values(id=_PROBE_ROW, turn_at=now)
    taken = await tx.connection.execute(
        insert.on_conflict_do_update(
            index_elements=["id"],
            set_={"turn_at": now},
            where=or_(table.c.turn_at <= since, table.c.turn_at > now),  # in the future: the clock was put back
        )
    )
    return taken.rowcount > 0


async def insert_probe(tx: WriteTx, probe: Probe) -> None:
    """Store a new probe in place of the one before it. `passed_at` stays."""
    values = {field.name: getattr(probe, field.name) for field in fields(Probe)[1:] if field.name != "passed_at"}
    await tx.connection.execute(update(table).where(table.c.id == _PROBE_ROW).values(probe_id=probe.id, **values))


async def pass_probe_on(tx: WriteTx, probe: Probe) -> None:
    """Store how far the probe came, unless a newer one has replaced it."""
    values = {field.name: getattr(probe, field.name) for field in fields(Probe)[1:]}
    await tx.connection.execute(
        update(table).where(table.c.id == _PROBE_ROW, table.c.probe_id == probe.id).values(**values)
    )


async def find_pings(tx: ReadTx) -> Pings:
    """Return how the pings went."""
    columns = (table.c.accepted_at, table.c.failed_at, table.c.trouble, table.c.verdict)
    row = (await tx.connection.execute(select(*columns).where(table.c.id == _PROBE_ROW))).one_or_none()
    return Pings() if row is None else Pings(*row)


async def note_heartbeat(tx: WriteTx, at: datetime, trouble: str | None, verdict: str | None) -> None:
    """Note how a ping went."""
    moment = "accepted_at" if trouble is None else "failed_at"
    await tx.connection.execute(
        update(table).where(table.c.id == _PROBE_ROW).values({moment: at, "trouble": trouble, "verdict": verdict})
    )


async def oldest_waiting_events(tx: ReadTx) -> tuple[datetime | None, datetime | None]:
    """Return when the oldest event that waits to be decided on was received, and the oldest with trouble."""
    oldest = select(events.c.received_at).where(text(NEW)).order_by(events.c.id).limit(1)
    some = (
        select(events.c.id)
        .where(text(f"{NEW} AND {TROUBLE}"))
        .order_by(events.c.customer_id, events.c.agent_id, events.c.id)
    )
    first = select(events.c.received_at).where(
        events.c.id == select(text("min(id)")).select_from(some.limit(_TROUBLE_MOST).subquery()).scalar_subquery()
    )
    return await tx.connection.scalar(oldest), await tx.connection.scalar(first)
