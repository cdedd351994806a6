"""The fleet of bench/million.py in PostgreSQL, and the history of such a fleet, made by the database itself."""

import os

from bench.ground import Ground, Place
from bench.wave import Fleet

YEAR_DAYS, EVENT_DAYS = 365, 90
# The history is as many days as this allows: a year of a million jobs needs 365 million rows in each of two tables, and hours.
MOST_RUNS = 10_000_000
# Only what has rows: for a table that was empty when it was analysed, PostgreSQL prefers plans that read all of it.
_ANALYZE = "VACUUM ANALYZE customers, agents, jobs"
_UNCHECKED = "SET session_replication_role = replica; "
_CUSTOMERS = (
    "WITH c AS (SELECT id, row_number() OVER (ORDER BY name) - 1 AS place FROM customers WHERE name LIKE 'wave-%')"
)
_AGENTS = (
    _CUSTOMERS + " INSERT INTO agents (id, customer_id, name, labels, last_heard_at, created_at) "
    "SELECT 'agt_wave' || n, c.id, 'host-' || n, '{{}}'::jsonb, now() - interval '1 day', now() - interval '1 year' "
    "FROM generate_series(0, {agents} - 1) n JOIN c ON c.place = n % {customers}"
)
# Each expects a run a day, so that deciding moves what the clock looks at, as it does in use.
_JOBS = (
    "INSERT INTO jobs (id, customer_id, agent_id, name, activity, labels, expectation, state, failures_in_row, warnings_in_row, "
    "missed_in_row, last_outcome, last_finished_at, last_success_at, last_came_at, last_message, next_due_at, overdue_at, created_at) "
    "SELECT 'job_wave' || n, a.customer_id, a.id, 'nightly-' || n, 'backup', '{{}}'::jsonb, "
    """'{{"cron": null, "period_s": 86400, "time_zone": "UTC", "grace_s": 14400, "longest_s": null}}'::jsonb, """
    "'ok', 0, 0, 0, 'success', now() - interval '1 day', now() - interval '1 day', now() - interval '1 day', '12,345 files', "
    "now(), now() + interval '4 hours', now() - interval '1 year' "
    "FROM generate_series(0, {jobs} - 1) n JOIN agents a ON a.id = 'agt_wave' || (n % {agents})"
)
_DAY = "now() - ({day} + 1) * interval '1 day'"
# As core/ids.py makes them, so that the history sorts before the wave: the time in milliseconds, then the number of the job.
_ID = "lpad(to_hex((extract(epoch FROM {at}) * 1000)::bigint), 12, '0') || lpad(to_hex(n), 16, '0')"
_OUTCOME = "CASE n % 100 WHEN {day} % 100 THEN 'failure' ELSE 'success' END, CASE n % 100 WHEN {day} % 100 THEN 'error' ELSE 'info' END"
_FROM = "FROM generate_series(0, {jobs} - 1) n JOIN agents a ON a.id = 'agt_wave' || (n % {agents})"
_WORDS = """'12,345 files, 10.5 GiB in 00:41:07', '{{"bytes_processed": 11274289152, "files_processed": 12345, "duration_s": 2467.5}}'::jsonb"""
_RUNS = (
    "INSERT INTO runs (id, customer_id, job_id, run_key, ended_at, heard_at, day, outcome, severity, message, metrics, decided_by, event_id) "
    "SELECT 'run_' || {id}, a.customer_id, 'job_wave' || n, 'run:{day}-' || n, {at}, {at}, ({at})::date, "
    + _OUTCOME
    + ", "
    + _WORDS
    + ", 'old-{day}-' || n, 'evt_' || {id} "
    + _FROM
)
_DAYS = (
    "INSERT INTO job_days (customer_id, job_id, day, successes, warnings, failures, cancelled, missed, bytes_processed, bytes_stored, "
    "duration_s) SELECT a.customer_id, 'job_wave' || n, ({at})::date, (n % 100 <> {day} % 100)::int, 0, (n % 100 = {day} % 100)::int, "
    "0, 0, 11274289152, 734003200, 2467.5 " + _FROM
)
_EVENTS = (
    "INSERT INTO events (id, customer_id, agent_id, key, state, job, run, activity, phase, occurred_at, received_at, outcome, severity, "
    "message, metrics, run_id) SELECT 'evt_' || {id}, a.customer_id, a.id, 'old-{day}-' || n, 'folded', 'nightly-' || n, "
    "'{day}-' || n, 'backup', 'finished', {at}, {at}, " + _OUTCOME + ", " + _WORDS + ", 'run_' || {id} " + _FROM
)
_ALERTS = (
    "INSERT INTO alerts (id, customer_id, agent_id, job_id, subject_id, kind, severity, reason, since, opened_at, last_at, repeats, "
    "closed_at, closed_reason) SELECT 'alr_' || {id}, a.customer_id, a.id, 'job_wave' || n, 'job_wave' || n, 'failed', 'error', "
    "'1st failure', {at}, {at}, {at}, 0, {at}, 'the run succeeded' FROM generate_series({day} % 100, {jobs} - 1, 100) n "
    "JOIN agents a ON a.id = 'agt_wave' || (n % {agents})"
)


def add_fleet(ground: Ground, place: Place, fleet: Fleet) -> None:
    """Add the agents of the customers `wave-...` and their jobs."""
    names = {"customers": fleet.customers, "agents": fleet.agents, "jobs": fleet.jobs}
    ground.sql(place, _AGENTS.format(**names), "ANALYZE agents", _JOBS.format(**names), _ANALYZE)


def add_history(ground: Ground, place: Place, fleet: Fleet) -> int:
    """Add a run a day for each job, its event as long as those are kept, and alerts that are closed; return how many days."""
    days = int(os.environ.get("BENCH_DAYS", max(1, min(YEAR_DAYS, MOST_RUNS // fleet.jobs))))
    for day in range(days, 0, -1):
        at = _DAY.format(day=day)
        names = {"day": day, "agents": fleet.agents, "jobs": fleet.jobs, "at": at, "id": _ID.format(at=at)}
        tables = [_RUNS, _DAYS, _ALERTS, *([_EVENTS] if day <= EVENT_DAYS else [])]
        # Without a look at the job of each row: these are their own jobs, and it takes longer than the rows.
        ground.sql(place, *(_UNCHECKED + statement.format(**names) for statement in tables))
    ground.sql(place, "VACUUM ANALYZE")
    return days
