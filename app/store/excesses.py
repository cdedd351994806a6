"""What was more than allowed or usual: excesses of keys and agents, and reports that were refused.

Excesses are noted by intake and reported by deciding. Refused reports have one row for each agent, however much was refused.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime
from statistics import median

from sqlalchemy import ColumnElement, Row, and_, case, delete, func, select, update
from sqlalchemy.dialects import postgresql, sqlite

from app.domain.excess import RESULTS, Excess
from app.domain.refused_reports import COUNTED_FOR, RefusedReports
from app.store.tables import excesses, job_days, jobs, refused_reports
from app.store.transactions import ReadTx, WriteTx

MOST = 20_000  # read at once; what is over is deleted
_OUTCOMES = ("successes", "warnings", "failures", "cancelled", "unclear")


async def add_excesses(tx: WriteTx, noted: Sequence[Excess]) -> None:
    """Add what was noted since the last time. What was refused is summed up; the results of an hour replace those of the hour before."""
    insert = sqlite.insert if tx.is_sqlite else postgresql.insert
    # Sorted: two processes that write the same rows in different orders would deadlock.
    for one in sorted(noted, key=lambda it: (it.key_id, it.what, it.agent_id)):
        new = insert(excesses).values(
            key_id=one.key_id,
            what=one.what,
            agent_id=one.agent_id,
            customer_id=one.customer_id,
            since=one.since,
            last_at=one.last_at,
            events=one.events,
            failures=one.failures,
            most_of=one.most_of,
        )
        given = new.excluded
        change = (
            {"since": given.since, "events": given.events, "failures": given.failures}
            if one.what == RESULTS
            else {
                "events": excesses.c.events + given.events,
                "failures": excesses.c.failures + given.failures,
                "most_of": given.most_of,
            }
        )
        await tx.connection.execute(
            new.on_conflict_do_update(
                index_elements=("key_id", "what", "agent_id"), set_={**change, "last_at": given.last_at}
            )
        )


async def all_excesses(tx: ReadTx) -> list[Excess]:
    """Return what was noted of all keys, by key."""
    query = select(excesses).order_by(excesses.c.key_id).limit(MOST)
    return [_read_excess(row) for row in await tx.connection.execute(query)]


async def lock_excesses(tx: WriteTx, key_id: str) -> list[Excess]:
    """Return what was noted of a key, locked until the commit."""
    query = select(excesses).where(excesses.c.key_id == key_id).order_by(excesses.c.what, excesses.c.agent_id)
    return [_read_excess(row) for row in await tx.connection.execute(query.with_for_update())]


async def save_reported(tx: WriteTx, shown: Sequence[Excess], at: datetime | None) -> None:
    """Note when these were reported; None: that they are not any more."""
    for one in shown:
        await tx.connection.execute(update(excesses).where(_is_excess(one)).values(reported_at=at))


async def save_usual(tx: WriteTx, one: Excess) -> None:
    """Save what is usual for an agent."""
    change = update(excesses).where(_is_excess(one))
    await tx.connection.execute(change.values(usual=one.usual, judged_at=one.judged_at))


async def forget_excesses(tx: WriteTx, over: Sequence[Excess]) -> None:
    """Delete what is over."""
    for one in over:
        await tx.connection.execute(delete(excesses).where(_is_excess(one)))


async def usual_results(tx: ReadTx, agent_id: str, since: date, until: date) -> float | None:
    """Return how many results an agent usually has on a day with any, before `until`: the median, which one flood does not move. None: it has no history."""
    total = sum((getattr(job_days.c, name) for name in _OUTCOMES[1:]), start=getattr(job_days.c, _OUTCOMES[0]))
    of_days = (
        select(func.sum(total).label("results"))
        .join(jobs, and_(jobs.c.id == job_days.c.job_id, jobs.c.customer_id == job_days.c.customer_id))
        .where(jobs.c.agent_id == agent_id, job_days.c.day >= since, job_days.c.day < until)
        .group_by(job_days.c.day)
    )
    found = [float(count) for count in (await tx.connection.execute(of_days)).scalars() if count]
    return median(found) if found else None


def _is_excess(one: Excess) -> ColumnElement[bool]:
    return and_(excesses.c.key_id == one.key_id, excesses.c.what == one.what, excesses.c.agent_id == one.agent_id)


def _read_excess(row: Row[tuple[object, ...]]) -> Excess:
    return Excess(**{name: getattr(row, name) for name in _COLUMNS})


_COLUMNS = tuple(column.name for column in excesses.c)


_REFUSED_COLUMNS = tuple(column.name for column in refused_reports.c)


async def add_refused(tx: WriteTx, noted: Sequence[RefusedReports]) -> None:
    """Add what was refused since the last time."""
    insert = sqlite.insert if tx.is_sqlite else postgresql.insert
    # Sorted: two processes that write the same rows in different orders would deadlock.
    for one in sorted(noted, key=lambda it: it.agent_id):
        new = insert(refused_reports).values({name: getattr(one, name) for name in _REFUSED_COLUMNS})
        given, kept = new.excluded, refused_reports.c
        goes_on = kept.last_at >= one.since - COUNTED_FOR
        change = {
            "since": case((goes_on, kept.since), else_=given.since),
            "count": case((goes_on, kept.count), else_=0) + given.count,
            "last_at": given.last_at,
            "why": given.why,
        }
        await tx.connection.execute(new.on_conflict_do_update(index_elements=("agent_id",), set_=change))


async def refused_of_agents(tx: ReadTx, agent_ids: Collection[str]) -> Mapping[str, RefusedReports]:
    """Return what was refused of these agents, by agent."""
    if not agent_ids:
        return {}
    found = await tx.connection.execute(select(refused_reports).where(refused_reports.c.agent_id.in_(agent_ids)))
    return {row.agent_id: RefusedReports(**{name: getattr(row, name) for name in _REFUSED_COLUMNS}) for row in found}


async def delete_old_refused(tx: WriteTx, before: datetime) -> None:
    """Delete what was refused last before a moment."""
    await tx.connection.execute(delete(refused_reports).where(refused_reports.c.last_at < before))
