"""Canary mails in the database: sent once for each occasion, found by their state, and how long they took."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple

from sqlalchemy import Select, bindparam, case, func, select, text, update
from sqlalchemy.dialects import postgresql, sqlite

from app.domain.canary import Canary, CanaryState, MailTimes, event_of
from app.domain.message import MessageState
from app.domain.service_event import AGENT
from app.store.events import insert_clock_events
from app.store.intake import find_or_create_agents
from app.store.prepared import Builder, Prepared, Values
from app.store.repository import Page, Repository, Window, equals
from app.store.tables import canaries, messages
from app.store.transactions import ReadTx, WriteTx
from app.store.types import Utc

CANARIES = Repository(canaries, Canary, noun="canary", prefix="cny", newest_first=True)
# Exactly the conditions of the partial indexes: SQLite uses them only if the query repeats them word for word.
_WAITING, _REPORTED = text("canaries.state = 'waiting'"), text("canaries.is_reported")
_AT_ONCE = 100
_END_OF_TIME = datetime(9999, 1, 1, tzinfo=UTC)


async def page_canaries(
    tx: ReadTx, window: Window, *, transport: str | None = None, relay_id: str | None = None, state: str | None = None
) -> Page[Canary]:
    """Return canaries, newest first, filtered."""
    return await CANARIES.page(tx, equals(canaries, transport=transport, relay_id=relay_id, state=state), window)


async def newest_of(
    tx: ReadTx, transport: str, relay_id: str, *, day: date | None = None, fingerprint: str | None = None
) -> Canary | None:
    """Return the newest canary of a way, of this day and these settings if they are given."""
    query = select(canaries).where(canaries.c.transport == transport, canaries.c.relay_id == relay_id)
    if day is not None:
        query = query.where(canaries.c.day == day, canaries.c.fingerprint == fingerprint)
    row = (await tx.connection.execute(query.order_by(canaries.c.id.desc()).limit(1))).first()
    return None if row is None else CANARIES.mapping.read(row)


async def insert_canary(tx: WriteTx, canary: Canary) -> bool:
    """Store a canary; return False if this occasion of its way has one already, by another worker or before a crash."""
    insert = (sqlite.insert if tx.is_sqlite else postgresql.insert)(canaries).on_conflict_do_nothing()
    return (await tx.connection.execute(insert.values(**CANARIES.mapping.write(canary)))).rowcount == 1


async def waiting_canaries(tx: ReadTx) -> list[Canary]:
    """Return the canaries that have neither arrived nor been given up, the oldest first."""
    rows = await tx.connection.execute(select(canaries).where(_WAITING).order_by(canaries.c.sent_at).limit(_AT_ONCE))
    return [CANARIES.mapping.read(row) for row in rows]


async def reported_canaries(tx: ReadTx) -> list[Canary]:
    """Return the lost canaries whose alert was not closed by a later arrival, the oldest first."""
    rows = await tx.connection.execute(select(canaries).where(_REPORTED).order_by(canaries.c.id).limit(_AT_ONCE))
    return [CANARIES.mapping.read(row) for row in rows]


async def report_lost(tx: WriteTx, canary: Canary, now: datetime) -> None:
    """Store the event that reports a lost canary."""
    text_ = f"The canary mail of {canary.sent_at:%H:%M} UTC by {canary.name} was lost: {canary.why}. Mails sent this way may not arrive."
    await _insert_event(tx, canary, text_, now, is_well=False)


async def close_alert(
    tx: WriteTx, transport: str, relay_id: str, why: str, now: datetime, also: Canary | None = None
) -> None:
    """Report that a way works again, or is not tested any more, if its alert is open. `also`: a reported canary that is marked otherwise by now."""
    of_way = _REPORTED, canaries.c.transport == transport, canaries.c.relay_id == relay_id
    rows = (
        await tx.connection.execute(select(canaries).where(*of_way).order_by(canaries.c.id).with_for_update())
    ).all()
    opened = [CANARIES.mapping.read(row) for row in rows]
    if also is not None and also.is_reported:
        opened.append(also)
    if rows:
        await tx.connection.execute(
            update(canaries).where(canaries.c.id.in_([row.id for row in rows])).values(is_reported=False)
        )
    # A mail may have arrived before it was called lost, while the mailbox was not read: the end must not come before the beginning.
    at = max([now, *(canary.lost_at + timedelta(seconds=1) for canary in opened if canary.lost_at is not None)])
    # One event closes the alert; of a relay that was renamed meanwhile, each name has its own.
    for canary in {(canary.customer_id, canary.name): canary for canary in opened}.values():
        await _insert_event(tx, canary, why, at, is_well=True)


async def _insert_event(tx: WriteTx, canary: Canary, message: str, now: datetime, *, is_well: bool) -> None:
    agent = (canary.customer_id, AGENT)
    agent_id = (await find_or_create_agents(tx, {agent}, now))[agent]
    await insert_clock_events(tx, [event_of(canary, agent_id, message, now, is_well=is_well)])


async def progress_of(tx: ReadTx, canary: Canary) -> tuple[MessageState | None, str]:
    """Return the state of a canary's message and its last settlement in words; None for a message that was deleted."""
    row = (
        await tx.connection.execute(select(messages.c.state, messages.c.why).where(messages.c.id == canary.message_id))
    ).first()
    return (None, "") if row is None else (MessageState(row.state), row.why or "")


async def mail_times(tx: ReadTx, since: datetime, until: datetime = _END_OF_TIME) -> dict[str, MailTimes]:
    """Return how long the canaries took that were sent since a moment, by transport; under "" those of all transports.

    Of transports by which none arrived, there are only the counts.
    """
    rows = [_SentBy._make(values) for values in await tx.fetch(_MAIL_TIMES, since=since, until=until)]
    found = {row.transport: _times([row]) for row in rows if row.arrived or row.lost}
    return {**found, "": _times(rows)} if found else {}


class _SentBy(NamedTuple):
    transport: str
    total: float | None
    slowest: float | None
    arrived: int
    lost: int


def _build_mail_times(_: Builder) -> Select[Values]:
    counts = (
        func.sum(case((canaries.c.state == state, 1), else_=0)) for state in (CanaryState.ARRIVED, CanaryState.LOST)
    )
    query = select(canaries.c.transport, func.sum(canaries.c.seconds), func.max(canaries.c.seconds), *counts)
    sent = canaries.c.sent_at >= bindparam("since", type_=Utc), canaries.c.sent_at < bindparam("until", type_=Utc)
    return query.where(*sent).group_by(canaries.c.transport)


_MAIL_TIMES = Prepared(_build_mail_times)


def _times(rows: Sequence[_SentBy]) -> MailTimes:
    arrived = sum(row.arrived for row in rows)
    total = sum(row.total or 0.0 for row in rows)
    slowest = max(row.slowest or 0.0 for row in rows)
    return MailTimes(total / arrived if arrived else 0.0, slowest, arrived, sum(row.lost for row in rows))
