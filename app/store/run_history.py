"""The history of a job as deciding reads it: what its state depends on, and the runs around some places of it.

Each function reads a fixed number of entries of `ix_runs_history` for a job or a place, however long the history is, and
however many runs ended at the same time.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any

from sqlalchemy import (
    ColumnElement,
    FromClause,
    Select,
    String,
    any_,
    bindparam,
    func,
    literal,
    literal_column,
    not_,
    select,
    tuple_,
)

from app.domain.event import PROVEN, RunOutcome
from app.domain.job import MOST_IN_ROW, ROW_ENDED_BY, HistoryOrder, JobHistory, history_order, newest_of
from app.domain.pairing import ENDS, NearbyRuns
from app.domain.run import Run
from app.store.prepared import Builder, Prepared, Values
from app.store.row_mapping import RowMapping
from app.store.tables import runs
from app.store.transactions import ReadTx
from app.store.types import Utc

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


def _build_by_key(db: Builder) -> Select[Values]:
    wanted = db.table("keys", customer_id=String, job_id=String, run_key=String)
    # One look-up each: a join may read all runs of the job.
    same = select(runs.c.id).where(*(runs.c[column.name] == column for column in wanted.c)).limit(1)
    return _select_by_id(db, wanted, same)


def _build_newest(has_ended: ColumnElement[bool], db: Builder) -> Select[Values]:
    wanted = db.table("wanted", job_id=String, outcome=String)
    return _select_one_each(db, wanted, has_ended, _NEWEST_FIRST)


def _build_before(db: Builder) -> Select[Values]:
    around = _places(db)
    return _select_one_each(db, around, tuple_(*_ORDER) < tuple_(around.c.at, around.c.run_key), _NEWEST_FIRST)


def _build_after(db: Builder) -> Select[Values]:
    around = _places(db)
    return _select_one_each(db, around, tuple_(*_ORDER) > tuple_(around.c.at, around.c.run_key), _ORDER)


def _places(db: Builder) -> FromClause:
    return db.table("wanted", job_id=String, outcome=String, at=Utc, run_key=String)


def _build_newest_starts(db: Builder) -> Select[Values]:
    """Find the newest start without a run name and without an end at or before each time. `taken`: ids that do not count."""
    wanted = db.table("wanted", job_id=String, at=Utc)
    newest = (
        select(runs.c.id)
        .where(runs.c.job_id == wanted.c.job_id, *_IS_START, runs.c.started_at <= wanted.c.at)
        .where(not_(db.one_of(runs.c.id, "taken")))
        .order_by(runs.c.started_at.desc())
        .limit(1)
    )
    return _select_by_id(db, wanted, newest)


def _select_one_each(
    db: Builder, wanted: FromClause, where: ColumnElement[bool], order: Iterable[ColumnElement[Any]]
) -> Select[Values]:
    """Select the first run in this order of each job and outcome of `wanted`."""
    of_it = runs.c.job_id == wanted.c.job_id, runs.c.outcome == wanted.c.outcome
    first = select(runs.c.id).where(*of_it, runs.c.ended_at.is_not(None), where).order_by(*order).limit(1)
    return _select_by_id(db, wanted, first)


def _select_by_id(db: Builder, wanted: FromClause, first: Select[tuple[str]]) -> Select[Values]:
    found = runs.alias("found")
    ids = select(first.correlate(wanted).scalar_subquery().label("id")).select_from(wanted)
    # As an array, of which PostgreSQL expects few values: for a join it may read all runs instead.
    is_found = found.c.id.in_(ids) if db.is_sqlite else found.c.id == any_(func.array(ids.scalar_subquery()))
    return select(*(found.c[column.name] for column in _RUN.columns)).where(is_found)


RUNS_BY_KEY = Prepared(_build_by_key)
_NEWEST = Prepared(partial(_build_newest, runs.c.ended_at.is_not(None)))
_NEWEST_UNTIL = Prepared(partial(_build_newest, runs.c.ended_at <= bindparam("until", type_=Utc)))
_BEFORE = Prepared(_build_before)
_AFTER = Prepared(_build_after)
_NEWEST_STARTS = Prepared(_build_newest_starts)


def runs_by_key(rows: Iterable[Values]) -> dict[tuple[str, str], Run]:
    """Return the runs that rows of `RUNS_BY_KEY` hold, by (job id, run key)."""
    found = [_RUN.read_values(values) for values in rows]
    return {(run.job_id, run.run_key): run for run in found}


async def newest_by_outcome(tx: ReadTx, job_ids: Collection[str], until: datetime | None = None) -> NewestRuns:
    """Return the newest ended run of each outcome of these jobs; `until`: only of those that had ended by then."""
    found: NewestRuns = {job_id: {} for job_id in job_ids}
    if not found:
        return found
    wanted = [(job, outcome.value) for job in sorted(found) for outcome in _ENDED]
    rows = (
        await tx.fetch(_NEWEST, wanted=wanted)
        if until is None
        else await tx.fetch(_NEWEST_UNTIL, wanted=wanted, until=until)
    )
    for run in map(_RUN.read_values, rows):
        assert run.outcome is not None  # noqa: S101  (each was looked for by its outcome)
        found[run.job_id][run.outcome] = run
    return found


async def proven_ends(tx: ReadTx, job_ids: Collection[str]) -> dict[str, datetime]:
    """Return, by job, when its newest run ended that shows how it ended: not one that was missed, nor one that ended unclear."""
    found: dict[str, datetime] = {}
    for job_id, newest in (await newest_by_outcome(tx, job_ids)).items():
        proof = newest_of(newest, *PROVEN, RunOutcome.CANCELLED)
        if proof is not None and proof.ended_at is not None:
            found[job_id] = proof.ended_at
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
    inside: list[_Place] = []
    for job_id, of_job in places.items():
        for outcome in ENDS:
            last = newest[job_id].get(outcome)
            if last is None:
                continue
            found[job_id][last.run_key] = last
            # At the end of the history, where places usually are, its newest runs are all that there is before them.
            inside += [(job_id, outcome.value, *place) for place in of_job if place <= history_order(last)]
    if inside:
        for statement in (_BEFORE, _AFTER):
            for run in map(_RUN.read_values, await tx.fetch(statement, wanted=inside)):
                found[run.job_id][run.run_key] = run
    times = {
        (job_id, at)
        for job_id, of_job in found.items()
        for at in (
            *(at for at, run_key in places[job_id] if run_key),
            *(run.ended_at for run in of_job.values() if run.ended_at is not None),
        )
    }
    for run in map(_RUN.read_values, await tx.fetch(_NEWEST_STARTS, wanted=sorted(times), taken=sorted(taken))):
        found[run.job_id][run.run_key] = run
    return {job_id: NearbyRuns(places[job_id], of_job) for job_id, of_job in found.items()}
