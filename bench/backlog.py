"""Puts undecided events into a database by its own means, as if intake had stored them while no worker ran."""

from bench.fleet import add_rows
from bench.ground import Ground, Place

AGENTS, JOBS = 1_000, 50_000
_EVENTS = (
    "INSERT INTO events (id, customer_id, agent_id, key, state, job, run, activity, phase, outcome, severity, occurred_at, received_at, "
    "message, metrics) {{series}} SELECT 'evt_0193' || n, {{customer}}, 'agt_' || (n % {{agents}}), 'key-' || n, 'new', "
    "'nightly-' || (n % {{jobs}}), 'run-' || n, 'backup', 'finished', '{outcome}', '{severity}', {{recent}}, {{recent}}, '{message}', "
    '\'{{{{"bytes_processed": 11274289152, "duration_s": 2467.5}}}}\' FROM series'
)
_GOOD = _EVENTS.format(outcome="success", severity="info", message="12,345 files, 10.5 GiB")
_FAILED = _EVENTS.format(outcome="failure", severity="error", message="repository is locked")


def add_backlog(ground: Ground, place: Place, first: int, last: int, *, failed: bool = False) -> None:
    """Add events from `first` up to `last`, each of the next of the jobs that `add_jobs` made."""
    add_rows(ground, place, _FAILED if failed else _GOOD, first, last, agents=AGENTS, jobs=JOBS)
    if not place.is_sqlite:
        ground.sql(place, "ANALYZE events")  # what autovacuum does within a minute
