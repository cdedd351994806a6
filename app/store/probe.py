"""The row of the probe and of the pings about it: one row, which never grows in number (domain/probe.py)."""

from dataclasses import fields
from datetime import datetime

from sqlalchemy import or_, select, text, update
from sqlalchemy.dialects import postgresql, sqlite

from app.domain.probe import Pings, Probe
from app.store.tables import NEW, TROUBLE, events
from app.store.tables_managed import probe as table
from app.store.transactions import ReadTx, WriteTx

_ROW = 1
_TROUBLE_MOST = 10_000  # waiting events that are looked at for the oldest one


async def find_probe(tx: ReadTx) -> Probe | None:
    """Return the newest probe; None before the first one."""
    row = (await tx.connection.execute(select(table).where(table.c.id == _ROW))).mappings().one_or_none()
    if row is None or row["probe_id"] is None:
        return None
    return Probe(row["probe_id"], *(row[field.name] for field in fields(Probe)[1:]))


async def take_turn(tx: WriteTx, now: datetime, since: datetime) -> bool:
    """Take the turn to ping, unless this or another process had it since a moment."""
    insert = (sqlite.insert if tx.is_sqlite else postgresql.insert)(table).values(id=_ROW, turn_at=now)
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
    await tx.connection.execute(update(table).where(table.c.id == _ROW).values(probe_id=probe.id, **values))


async def pass_probe_on(tx: WriteTx, probe: Probe) -> None:
    """Store how far the probe came, unless a newer one has replaced it."""
    values = {field.name: getattr(probe, field.name) for field in fields(Probe)[1:]}
    await tx.connection.execute(update(table).where(table.c.id == _ROW, table.c.probe_id == probe.id).values(**values))


async def find_pings(tx: ReadTx) -> Pings:
    """Return how the pings went."""
    columns = (table.c.accepted_at, table.c.failed_at, table.c.trouble, table.c.verdict)
    row = (await tx.connection.execute(select(*columns).where(table.c.id == _ROW))).one_or_none()
    return Pings() if row is None else Pings(*row)


async def note_heartbeat(tx: WriteTx, at: datetime, trouble: str | None, verdict: str | None) -> None:
    """Note how a ping went."""
    moment = "accepted_at" if trouble is None else "failed_at"
    await tx.connection.execute(
        update(table).where(table.c.id == _ROW).values({moment: at, "trouble": trouble, "verdict": verdict})
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
