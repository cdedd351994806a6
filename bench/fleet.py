"""Puts a large fleet and its history into a database, by the database's own means: seconds instead of hours of reporting."""

import contextlib
from collections.abc import Iterator

from bench.ground import Ground, Place

AGENTS, JOBS, DAYS = 1_000, 100_000, 14
_SERIES = "WITH RECURSIVE series (n) AS (SELECT {first} UNION ALL SELECT n + 1 FROM series WHERE n < {last} - 1)"
_CUSTOMER = "(SELECT min(id) FROM customers)"
_AGENTS = (
    "INSERT INTO agents (id, customer_id, name, labels, last_heard_at, created_at) {series} "
    "SELECT 'agt_' || n, {customer}, 'host-' || n, '{{}}', {now}, {now} FROM series"
)
# Of a hundred jobs one fails, one is missed and one warns: a fleet as it is on a bad morning.
_JOBS = (
    "INSERT INTO jobs (id, customer_id, agent_id, name, activity, labels, state, failures_in_row, warnings_in_row, missed_in_row, "
    "failing_since, last_outcome, last_finished_at, last_success_at, last_came_at, last_message, created_at) {series} "
    "SELECT 'job_' || n, {customer}, 'agt_' || (n % {agents}), 'nightly-' || n, 'backup', '{{}}', "
    "CASE n % 100 WHEN 0 THEN 'failed' WHEN 1 THEN 'missed' WHEN 2 THEN 'warning' ELSE 'ok' END, "
    "CASE n % 100 WHEN 0 THEN 1 ELSE 0 END, CASE n % 100 WHEN 2 THEN 3 ELSE 0 END, CASE n % 100 WHEN 1 THEN 1 ELSE 0 END, "
    "CASE WHEN n % 100 < 2 THEN {now} END, 'success', {now}, {now}, {now}, '12,345 files', {now} FROM series"
)
_DAYS = (
    "INSERT INTO job_days (customer_id, job_id, day, successes, warnings, failures, cancelled, missed, bytes_processed, bytes_stored, "
    "duration_s) {series} SELECT {customer}, 'job_' || series.n, {day}, 1, 0, 0, 0, 0, 11274289152, 734003200, 2467.5 "
    "FROM ("
    + " UNION ALL ".join(f"SELECT {back} AS back" for back in range(DAYS, 0, -1))
    + ") AS days CROSS JOIN series ORDER BY days.back DESC"
)
_EVENTS = (
    "INSERT INTO events (id, customer_id, agent_id, key, state, job, run, activity, phase, outcome, severity, occurred_at, received_at, "
    "message, metrics, run_id) {series} SELECT 'evt_' || n, {customer}, 'agt_' || (n % {agents}), 'key-' || n, 'folded', "
    "'nightly-' || (n % {jobs}), 'run-' || n, 'backup', 'finished', 'success', 'info', {now}, {now}, '12,345 files, 10.5 GiB', "
    "'{{\"bytes_processed\": 11274289152, \"duration_s\": 2467.5}}', 'run_' || n FROM series"
)
_RUNS = (
    "INSERT INTO runs (id, customer_id, job_id, run_key, started_at, ended_at, heard_at, outcome, severity) {series} "
    "SELECT 'run_' || n, {customer}, 'job_' || (n % {jobs}), 'run-' || n, {now}, {now}, {now}, 'success', 'info' FROM series"
)
_ALERTS = (
    "INSERT INTO alerts (id, customer_id, agent_id, job_id, subject_id, kind, severity, reason, since, opened_at, last_at, repeats, "
    "closed_at, closed_reason) {series} SELECT 'alr_' || n, {customer}, 'agt_' || (n % {agents}), 'job_' || (n % {jobs}), "
    "'job_' || (n % {jobs}), 'failed', 'error', '1st failure', {old}, {old}, {old}, 0, {old}, 'the run succeeded' FROM series"
)


def add_fleet(ground: Ground, place: Place, jobs: int = JOBS) -> None:
    """Add agents, jobs, and a roll-up for each job and each of the last 14 days."""
    add_jobs(ground, place, AGENTS, jobs)
    with _indexed_afterwards(ground, place, "job_days"):
        add_rows(ground, place, _DAYS, 0, jobs)
    settle(ground, place)


def add_jobs(ground: Ground, place: Place, agents: int, jobs: int) -> None:
    """Add agents and their jobs."""
    add_rows(ground, place, _AGENTS, 0, agents)
    add_rows(ground, place, _JOBS, 0, jobs, agents=agents)


def add_history(ground: Ground, place: Place, first: int, last: int) -> None:
    """Add events and runs from `first` up to `last`, and a tenth as many closed alerts."""
    add_rows(ground, place, _EVENTS, first, last)
    add_rows(ground, place, _RUNS, first, last)
    add_rows(ground, place, _ALERTS, first // 10, last // 10)
    settle(ground, place)


def add_rows(
    ground: Ground, place: Place, statement: str, first: int, last: int, *, agents: int = AGENTS, jobs: int = JOBS
) -> None:
    """Run an INSERT for the numbers from `first` up to `last`, with the database's own words for times and series."""
    micros = "(CAST(strftime('%s', 'now') AS INTEGER) * 1000000{less})"
    now, old, recent = ("now() - interval '8 hours'", "now() - interval '3 days'", "now() - interval '1 minute'")
    day = "current_date - days.back"
    series = "WITH series (n) AS (SELECT generate_series({first}, {last} - 1))"
    if place.is_sqlite:
        now, old, recent = (micros.format(less=f" - {less}000000") for less in (28800, 259200, 60))
        day = "date('now', '-' || days.back || ' days')"
        series = _SERIES
    values = {
        "customer": _CUSTOMER,
        "now": now,
        "old": old,
        "recent": recent,
        "day": day,
        "agents": agents,
        "jobs": jobs,
    }
    sql = statement.format(series=series.format(first=first, last=last), **values)
    if not place.is_sqlite:  # the columns are typed, a literal in a SELECT is not
        sql = sql.replace("'{}'", "'{}'::jsonb").replace("2467.5}'", "2467.5}'::jsonb")
        # Without the checks of foreign keys, which take as long as the insert: a query for each row.
        sql = f"SET session_replication_role = replica; {sql}"
    ground.sql(place, "PRAGMA synchronous=OFF" if place.is_sqlite else "SELECT 1", sql)


@contextlib.contextmanager
def _indexed_afterwards(ground: Ground, place: Place, table: str) -> Iterator[None]:
    """Make the indexes of a table on PostgreSQL again after the block, instead of adding each of its rows to each of them."""
    if place.is_sqlite:
        yield
        return
    ground.sql(place, f"UPDATE pg_index SET indisready = false WHERE indrelid = '{table}'::regclass")
    yield
    ground.sql(place, f"REINDEX TABLE {table}")


def settle(ground: Ground, place: Place) -> None:
    """Do what PostgreSQL does by itself within minutes."""
    if not place.is_sqlite:
        ground.sql(place, "VACUUM ANALYZE")
