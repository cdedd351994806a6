"""Pages, summaries, /v1/status, /metrics/jobs and check_tocsin show each job in the same state, and it is that of its runs."""

import asyncio
import tempfile
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sqlalchemy import update

from app.admin import alerts as admin_alerts
from app.admin.editing import Editor
from app.decide import tick as decide
from app.domain.job_status import ShownState, total_of
from app.domain.matcher import read_matcher
from app.domain.summary_schedule import SummarySchedule
from app.store.fleet import count_states
from app.store.job_states import JobChoice, count_jobs, each_job_status, page_job_statuses
from app.store.summary_jobs import read_jobs
from app.store.summary_scope import scope_of
from app.store.tables import agents, alerts, jobs, runs
from app.store.tables_managed import rules
from tests.support.context import SystemUnderTest, open_system
from tests.support.examples import examples
from tests.support.migrated import copy_sqlite, sqlite_template

JOBS = ("db", "files", "mails")
STATES = [state.value for state in ShownState]
PROVEN = ("success", "warning", "failure")
REPORTS = st.tuples(
    st.just("report"),
    st.sampled_from(JOBS),
    st.sampled_from([*PROVEN, "cancelled", "unclear", "started"]),
    st.sampled_from([None, "r1", "r2"]),
    st.integers(0, 90),  # minutes ago
)
STEPS = st.one_of(
    REPORTS,
    REPORTS,
    st.tuples(st.just("wait"), st.sampled_from([1, 61, 200, 1500])),
    st.just(("decide",)),
    st.just(("expect",)),
    st.just(("dismiss", "db")),
    st.just(("close alerts",)),
    st.just(("disable rules",)),
    st.just(("worker stops",)),
)


async def take(system: SystemUnderTest, step: tuple[object, ...]) -> None:
    """Do one step of a history."""
    now = system.time[0]
    match step:
        case ("report", str(job), str(outcome), run, int(ago)):
            what = {"phase": "started"} if outcome == "started" else {"phase": "finished", "outcome": outcome}
            at = now - timedelta(minutes=ago)
            await system.receive(job=job, run=run, occurred_at=at, message="Backup of sql01", **what)
        case ("wait", int(minutes)):
            system.pass_time(minutes=minutes)
        case ("decide",):
            await system.decide()
        case ("worker stops",):  # what it decided stays, and time goes on
            while await decide.tick(system.context):
                pass
            system.pass_time(minutes=70)
        case ("close alerts",):
            for alert in await system.rows(alerts, alerts.c.closed_at.is_(None)):
                async with system.context.database.write() as tx:
                    await admin_alerts.close_alert(tx, alert.id, "seen", Editor("ann", now, lambda _: None))
        case _:
            expectation = {"cron": None, "period_s": 7200, "time_zone": "UTC", "grace_s": 600, "longest_s": 3600}
            due = now + timedelta(hours=2)
            change = {
                "expect": update(jobs).values(
                    expectation=expectation, next_due_at=due, overdue_at=due + timedelta(minutes=10), dismissed_at=None
                ),
                "dismiss": update(jobs)
                .where(jobs.c.name == "db", jobs.c.expectation.is_(None))
                .values(dismissed_at=now, next_due_at=None, overdue_at=None),
                "disable rules": update(rules).values(enabled=False),
            }[str(step[0])]
            async with system.context.database.write() as tx:
                await tx.connection.execute(change)


async def state_by_runs(system: SystemUnderTest, job: object, now: datetime) -> str:
    """Return the state of a job, computed from its runs and its expectation alone."""
    of_job = await system.rows(runs, runs.c.job_id == job.id)  # type: ignore[attr-defined]
    ended = sorted((run for run in of_job if run.ended_at is not None), key=lambda run: (run.ended_at, run.run_key))

    def newest(*outcomes: str) -> str | None:
        return next((run.outcome for run in reversed(ended) if run.outcome in outcomes), None)

    decisive = newest(*PROVEN, "missed")
    excused = decisive == "missed" and job.dismissed_at is not None  # type: ignore[attr-defined]
    late_by = timedelta(minutes=2)
    overdue = job.overdue_at is not None and job.overdue_at <= now - late_by  # type: ignore[attr-defined]
    hangs = any(
        run.ended_at is None
        and (run.outcome == "overrun" or (run.overrun_at is not None and run.overrun_at <= now - late_by))
        for run in of_job
    )
    if newest(*PROVEN) == "failure":
        return "failed"
    if (decisive == "missed" or overdue) and not excused:
        return "missed"
    if hangs or job.overrun_since is not None:  # type: ignore[attr-defined]
        return "overrun"
    if newest(*PROVEN, "unclear") == "unclear":
        return "unclear"
    last = newest(*PROVEN)
    return {"warning": "warning", "success": "ok", None: "ok" if excused else "new"}[last]


async def compare(system: SystemUnderTest) -> None:
    """Read the states in each way."""
    now = system.time[0]
    every, matching = JobChoice(), JobChoice(matchers=(read_matcher("agent!=nobody"),))
    schedule = SummarySchedule(id="sch", name="all", created_at=now, recipients=())
    async with system.context.database.read() as tx:
        listed = {one.id: one.state for one in await page_job_statuses(tx, every, now)}
        scraped = {one.id: one.state async for batch in each_job_status(tx, every, now) for one in batch}
        counted = {
            "status": await count_jobs(tx, every, now),
            "status by matcher": await count_jobs(tx, matching, now),
            "page": total_of(one.counts for one in await count_states(tx, None, now)),
        }
        in_summary = await read_jobs(tx, scope_of(schedule, now - timedelta(days=1), now))
    every_job = [job for job in await system.rows(jobs) if job.id in listed]
    assert listed == {job.id: await state_by_runs(system, job, now) for job in every_job}
    assert scraped == listed
    numbers = {state: Counter(listed.values())[state] for state in STATES}
    for name, counts in counted.items():
        assert {state: getattr(counts, state) or 0 for state in STATES} == numbers, name
    assert {state: in_summary.states.get(state, 0) for state in STATES} == numbers


HANGS = [
    ("report", "db", "success", None, 0), ("decide",), ("expect",), ("wait", 1),
    ("report", "db", "started", "r1", 0), ("decide",), ("wait", 61), ("decide",),
]  # fmt: skip


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as made:
        yield Path(made)


@pytest.mark.slow
@settings(max_examples=examples(60), deadline=None)
@example(HANGS)
@example([*HANGS, ("close alerts",)])
@example([("disable rules",), *HANGS])
@example([*HANGS, ("report", "db", "unclear", "r1", 0), ("decide",)])
@example([("disable rules",), ("report", "db", "success", None, 60), ("report", "db", "unclear", None, 0), ("decide",)])
@given(st.lists(STEPS, min_size=1, max_size=14))
def test_every_way_shows_the_state_that_the_runs_prove(folder: Path, steps: list[tuple[object, ...]]) -> None:
    async def run() -> None:
        own = Path(tempfile.mkdtemp(dir=folder))
        async with open_system(copy_sqlite(sqlite_template(), own / "tocsin.db"), own) as system:
            for step in steps:
                await take(system, step)
            await compare(system)
            await system.decide()
            await compare(system)

    asyncio.run(run())


async def test_a_job_that_hangs_is_not_ok_whatever_becomes_of_its_alert(database_url: str, tmp_path: Path) -> None:
    async with open_system(database_url, tmp_path) as system:
        for step in HANGS:
            await take(system, step)
        await compare(system)
        for step in (("close alerts",), ("decide",)):
            await take(system, step)
            async with system.context.database.read() as tx:
                assert (await count_jobs(tx, JobChoice(), system.time[0])).overrun == 1
        await take(system, ("report", "db", "success", None, 0))
        await system.decide()
        async with system.context.database.read() as tx:
            counts = await count_jobs(tx, JobChoice(), system.time[0])
        assert (counts.ok, counts.overrun) == (1, 0)


async def test_an_agent_is_silent_whatever_becomes_of_its_alert(database_url: str, tmp_path: Path) -> None:
    async with open_system(database_url, tmp_path) as system:
        await system.receive(job="db", outcome="success")
        await system.decide()
        system.pass_time(hours=48)
        await system.decide()
        await take(system, ("close alerts",))

        async def silent() -> int:
            async with system.context.database.read() as tx:
                return (await count_jobs(tx, JobChoice(), system.time[0])).silent_agents

        assert await silent() == 1
        await system.receive(job="db", outcome="unclear")
        await system.decide()
        assert await silent() == 1, "a text that proves nothing does not show that backups are made"
        await system.receive(job="db", outcome="success")
        await system.decide()
        assert await silent() == 0
        [agent] = await system.rows(agents)
        assert agent.silent_since is None
