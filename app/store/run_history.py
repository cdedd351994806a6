"""The history of a job as deciding reads it: what its state depends on, and the runs around some places of it.

Each function reads a fixed number of entries of `ix_runs_history` for a job or a place, however long the history is, and
however many runs ended at the same time.
"""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    DateTime,
    FromClause,
    Select,
    String,
    Text,
    any_,
    func,
    literal,
    literal_column,
    select,
    tuple_,
)
from sqlalchemy.dialects.postgresql import ARRAY

from app.domain.event import RunOutcome
from app.domain.job import MOST_IN_ROW, ROW_ENDED_BY, HistoryOrder, JobHistory, history_order, newest_of
from app.domain.pairing import ENDS, NearbyRuns
from app.domain.run import Run
from app.store.repository import key_table
from app.store.row_mapping import RowMapping
from app.store.tables import runs
from app.store.transactions import ReadTx
from app.store.types import Utc, to_micros

_RUN = RowMapping(runs, Run)
_ENDED = (*ENDS, RunOutcome.MISSED)
_ORDER = runs.c.ended_at, runs.c.run_key
_NEWEST_FIRST = runs.c.ended_at.desc(), runs.c.run_key.desc()
# The condition of the partial index ix_runs_job_starts, spelled out: SQLite uses it only where it stands in the query.
_IS_START = (
    runs.c.ended_at.is_(None),
    literal_column("runs.run_key") >= literal_column("'event:'"),
    literal_column("runs.run_key") < literal_column("'event;'"),
)
_Place = tuple[str, str, datetime, str]  # job id, outcome, time and run key
NewestRuns = dict[str, dict[RunOutcome, Run]]  # by job id


async def find_runs(tx: ReadTx, keys: Iterable[tuple[str, str, str]]) -> dict[tuple[str, str], Run]:
    """Return runs by (job id, run key). `keys`: (customer id, job id, run key)."""
    names = sorted(set(keys))
    if not names:
        return {}
    wanted = key_table(tx, names, "customer_id", "job_id", "run_key")
    # One look-up each: a join may read all runs of the job.
    same = select(runs.c.id).where(*(runs.c[column.name] == column for column in wanted.c)).limit(1)
    return {(run.job_id, run.run_key): run for run in await _read_by_id(tx, wanted, same)}


async def newest_by_outcome(tx: ReadTx, job_ids: Collection[str], until: datetime | None = None) -> NewestRuns:
    """Return the newest ended run of each outcome of these jobs; `until`: only of those that had ended by then."""
    found: NewestRuns = {job_id: {} for job_id in job_ids}
    if not found:
        return found
    wanted = key_table(tx, [(job, outcome.value) for job in sorted(found) for outcome in _ENDED], "job_id", "outcome")
    had_ended = runs.c.ended_at.is_not(None) if until is None else runs.c.ended_at <= until
    for run in await _read_one_each(tx, wanted, [had_ended], _NEWEST_FIRST):
        assert run.outcome is not None  # noqa: S101  (each was looked for by its outcome)
        found[run.job_id][run.outcome] = run
    return found


async def read_histories(
    tx: ReadTx, job_ids: Collection[str], until: datetime | None = None
) -> Mapping[str, JobHistory]:
    """Return what the state of each job depends on; `until`: as it was then."""
    newest = await newest_by_outcome(tx, job_ids, until)
    return {job_id: await _read_rows(tx, job_id, of_job, until) for job_id, of_job in newest.items()}


async def _read_rows(tx: ReadTx, job_id: str, newest: Mapping[RunOutcome, Run], until: datetime | None) -> JobHistory:
    """Count the runs in a row and find where they began. Nothing is read for a row whose newest run was followed by its end."""
    counted: dict[RunOutcome, ColumnElement[int]] = {}
    for outcome, enders in ROW_ENDED_BY.items():
        last, ender = newest.get(outcome), newest_of(newest, *enders)
        if last is not None and (ender is None or history_order(last) > history_order(ender)):
            some = _between(job_id, outcome, ender, until=until).limit(MOST_IN_ROW).subquery()
            counted[outcome] = select(func.count()).select_from(some).scalar_subquery().label(outcome.value)
    if not counted:
        return JobHistory(newest, {})
    row = (await tx.connection.execute(select(*counted.values()))).one()
    counts = {outcome: int(row[place]) for place, outcome in enumerate(counted)}
    good = newest_of(newest, RunOutcome.SUCCESS, RunOutcome.WARNING)
    failure = cancelled = None
    if RunOutcome.FAILURE in counts:
        failure = await _first(tx, _between(job_id, RunOutcome.FAILURE, good, until=until))
        before = _between(job_id, RunOutcome.CANCELLED, good, failure)
        cancelled = await _first(tx, before, newest=True)
    else:
        cancelled = newest.get(RunOutcome.CANCELLED)
    missed = None
    if RunOutcome.MISSED in newest:
        since = max((run for run in (good, cancelled) if run is not None), key=history_order, default=None)
        missed = await _first(tx, _between(job_id, RunOutcome.MISSED, since, failure, until=until))
    return JobHistory(newest, counts, failure, missed)


def _between(
    job_id: str, outcome: RunOutcome, after: Run | None, before: Run | None = None, *, until: datetime | None = None
) -> Select[Any]:
    """Select the runs of a job with this outcome that ended after and before these runs, oldest first."""
    found = select(runs).where(runs.c.job_id == job_id, runs.c.outcome == outcome.value, runs.c.ended_at.is_not(None))
    if after is not None:
        found = found.where(tuple_(*_ORDER) > _place_of(after))
    if before is not None:
        found = found.where(tuple_(*_ORDER) < _place_of(before))
    if until is not None:
        found = found.where(runs.c.ended_at <= until)
    return found.order_by(*_ORDER)


def _place_of(run: Run) -> ColumnElement[Any]:
    ended_at, run_key = history_order(run)
    return tuple_(literal(ended_at, Utc), literal(run_key, String))


async def _first(tx: ReadTx, found: Select[Any], *, newest: bool = False) -> Run | None:
    if newest:
        found = found.order_by(None).order_by(*_NEWEST_FIRST)
    row = (await tx.connection.execute(found.limit(1))).one_or_none()
    return None if row is None else _RUN.read(row)


async def find_nearby_runs(
    tx: ReadTx, places: Mapping[str, Sequence[HistoryOrder]], taken: Collection[str]
) -> dict[str, NearbyRuns]:
    """Return the stored runs around these places in the history of each job. `taken`: ids of starts that do not count any more."""
    places = {job_id: of_job for job_id, of_job in places.items() if of_job}
    if not places:
        return {}
    found: dict[str, dict[str, Run]] = {job_id: {} for job_id in places}
    newest = await newest_by_outcome(tx, places)
    before: list[_Place] = []
    after: list[_Place] = []
    for job_id, of_job in places.items():
        for outcome in ENDS:
            last = newest[job_id].get(outcome)
            if last is None:
                continue
            found[job_id][last.run_key] = last
            # At the end of the history, where places usually are, its newest runs are all that there is before them.
            inside = [(job_id, outcome.value, *place) for place in of_job if place <= history_order(last)]
            before += inside
            after += inside
    tests = ((before, tuple_(*_ORDER).__lt__, _NEWEST_FIRST), (after, tuple_(*_ORDER).__gt__, _ORDER))
    for wanted, is_beside, order in tests:
        if wanted:
            around = _place_table(tx, wanted)
            is_there = is_beside(tuple_(around.c.at, around.c.run_key))
            for run in await _read_one_each(tx, around, [is_there], order):
                found[run.job_id][run.run_key] = run
    times = {
        (job_id, "", at, "")
        for job_id, of_job in found.items()
        for at in (
            *(at for at, run_key in places[job_id] if run_key),
            *(run.ended_at for run in of_job.values() if run.ended_at is not None),
        )
    }
    for run in await _newest_starts(tx, sorted(times), taken):
        found[run.job_id][run.run_key] = run
    return {job_id: NearbyRuns(places[job_id], of_job) for job_id, of_job in found.items()}


async def _newest_starts(tx: ReadTx, times: Sequence[_Place], taken: Collection[str]) -> list[Run]:
    """Return the newest start without a run name and without an end at or before each time."""
    wanted = _place_table(tx, times)
    newest = (
        select(runs.c.id)
        .where(runs.c.job_id == wanted.c.job_id, *_IS_START, runs.c.started_at <= wanted.c.at)
        .order_by(runs.c.started_at.desc())
        .limit(1)
    )
    if taken:
        newest = newest.where(runs.c.id.not_in(taken))
    return await _read_by_id(tx, wanted, newest)


async def _read_one_each(
    tx: ReadTx, wanted: FromClause, where: Iterable[ColumnElement[bool]], order: Iterable[Any]
) -> list[Run]:
    """Return the first run in this order of each job and outcome of `wanted`."""
    of_it = runs.c.job_id == wanted.c.job_id, runs.c.outcome == wanted.c.outcome
    first = select(runs.c.id).where(*of_it, runs.c.ended_at.is_not(None), *where).order_by(*order).limit(1)
    return await _read_by_id(tx, wanted, first)


async def _read_by_id(tx: ReadTx, wanted: FromClause, first: Select[Any]) -> list[Run]:
    found = runs.alias("found")
    ids = select(first.correlate(wanted).scalar_subquery().label("id")).select_from(wanted)
    # As an array, of which PostgreSQL expects few values: for a join it may read all runs instead.
    is_found = found.c.id.in_(ids) if tx.is_sqlite else found.c.id == any_(func.array(ids.scalar_subquery()))
    return [_RUN.read(row) for row in await tx.connection.execute(select(found).where(is_found))]


def _place_table(tx: ReadTx, places: Sequence[_Place]) -> FromClause:
    """Return places as a table `wanted` of (job_id, outcome, at, run_key), with one parameter a column or less."""
    if tx.is_sqlite:
        values = json.dumps([(job, outcome, to_micros(at), key) for job, outcome, at, key in places])
        each = func.json_each(values).table_valued("value", name="each")
        types = {"job_id": String(), "outcome": String(), "at": Utc(), "run_key": String()}
        columns = (
            func.json_extract(each.c.value, f"$[{place}]", type_=kind).label(name)
            for place, (name, kind) in enumerate(types.items())
        )
        return select(*columns).subquery("wanted")
    jobs, outcomes, times, keys = (list(column) for column in zip(*places, strict=True))
    texts = (literal(jobs, ARRAY(Text)), literal(outcomes, ARRAY(Text)))
    columns_of = (*texts, literal(times, ARRAY(DateTime(timezone=True))), literal(keys, ARRAY(Text)))
    return func.unnest(*columns_of).table_valued("job_id", "outcome", "at", "run_key", name="wanted").render_derived()
