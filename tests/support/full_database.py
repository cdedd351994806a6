"""Fills a database with 100 000 jobs and 200 000 events, and with work for every stage: the service writes a row of each kind, which is copied."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import update

from app.compose import tick as compose
from app.decide import tick as decide
from app.domain.recipient import Address
from app.store.tables import agents, alerts, attempts, bodies, events, groups, job_days, jobs, messages, notices, runs
from app.store.tables_managed import summary_schedules
from app.store.transactions import Database
from tests.support.api import Api
from tests.support.fill import Row, analyze, copy_rows, id_prefix, number_of, numbered
from tests.support.outbox import post

JOBS, EVENTS, AGENTS, OPEN_ALERTS = 100_000, 200_000, 1_000, 10_000
DUE = 600  # of each kind that waits for a stage or an administrator
LONG_HISTORY = 100_000  # runs of one job
OLD = 2_000  # rows of each kind that are older than the retention allows
BEGUN: dict[str, Any] = {
    "number": 1,
    "holder": "worker:x",
    "token": "t",
    "ended_at": None,
    "outcome": None,
    "code": None,
    "text": None,
    "evidence": None,
}


def own(prefix: str) -> Callable[[Row], Any]:
    """Return the function by which each copy has a text of its own."""
    return lambda number: numbered(prefix, number)


async def one(database: Database, table: Any, *conditions: Any) -> dict[str, Any]:
    """Return a row."""
    async with database.read() as tx:
        return dict((await tx.connection.execute(table.select().where(*conditions).limit(1))).mappings().one())


@dataclass
class FullDatabase:
    """The ids that its rows begin with, and the rows that were copied. `now`: when it is filled."""

    api: Api
    now: datetime
    job: dict[str, Any] = field(default_factory=dict)
    run: dict[str, Any] = field(default_factory=dict)
    event: dict[str, Any] = field(default_factory=dict)
    alert: dict[str, Any] = field(default_factory=dict)
    notice: dict[str, Any] = field(default_factory=dict)
    job_prefix: str = field(default_factory=lambda: id_prefix("job"))
    unclear_event: str = ""
    recipient: str = ""

    @property
    def database(self) -> Database:
        """The database."""
        return self.api.context.database

    @property
    def past(self) -> datetime:
        """When what is due fell due."""
        return self.now - timedelta(hours=1)

    def copy(self, table: Any, template: dict[str, Any], count: int, **changed: Any) -> Awaitable[None]:
        """Insert copies of a row."""
        return copy_rows(self.database, table, template, count, **changed)

    async def fill(self) -> None:
        """Fill it."""
        await self._begin()
        await self._jobs_and_events()
        await self._unclear_texts()
        await self._alerts_and_notices()
        await self._due_by_the_clock()
        await self._messages()
        await analyze(self.database)

    async def _begin(self) -> None:
        text = {"agent": "sql01", "job": "words", "outcome": "unclear", "message": "vault rotated 7 sets"}
        await self.api.report({"agent": "sql01", "job": "one", "outcome": "failure", "message": "it broke"}, text)
        while await decide.tick(self.api.context):
            pass
        await compose.tick(self.api.context)
        self.job = await one(self.database, jobs, jobs.c.name == "one") | {"learn_at": None}
        self.run = await one(self.database, runs, runs.c.job_id == self.job["id"])
        self.event = await one(self.database, events, events.c.job == "one")
        self.alert = await one(self.database, alerts, alerts.c.job_id == self.job["id"])
        self.notice = await one(self.database, notices, notices.c.alert_id == self.alert["id"])

    async def _jobs_and_events(self) -> None:
        agent_prefix, run_prefix, event_prefix = id_prefix("agt"), id_prefix("run"), id_prefix("evt")
        agent = await one(self.database, agents)
        await self.copy(agents, agent, AGENTS, id=own(agent_prefix), name=own("host "))
        of_agent = {"agent_id": lambda number: numbered(agent_prefix, number % AGENTS)}
        await self.copy(jobs, self.job, JOBS, id=own(self.job_prefix), name=own("job "), **of_agent)
        await self.copy(runs, self.run, JOBS, id=own(run_prefix), job_id=own(self.job_prefix))
        first = number_of(self.job_prefix, 0)
        history = {**self.run, "job_id": first}
        await self.copy(runs, history, LONG_HISTORY, id=own(id_prefix("run", "b")), run_key=own("r"))
        await self.copy(job_days, await one(self.database, job_days), JOBS, job_id=own(self.job_prefix))
        changed = {"job": own("job "), "key": own("k"), "run_id": own(run_prefix), **of_agent}
        await self.copy(events, self.event, EVENTS, id=own(event_prefix), **changed)
        held = {**self.event, "state": "set_aside", "error": "a defect", "run_id": None}
        await self.copy(events, held, 10_000, id=own(id_prefix("evt", "c")), key=own("s"))
        old = {**self.event, "run_id": None}
        await self.copy(events, old, OLD, id=own(id_prefix("evt", is_old=True)), key=own("old"))
        heard = {**self.run, "heard_at": self.now - timedelta(days=900)}
        old_run = {"id": own(id_prefix("run", is_old=True)), "job_id": own(self.job_prefix), "run_key": own("old")}
        await self.copy(runs, heard, OLD, **old_run)

    async def _unclear_texts(self) -> None:
        """Copy a text of one form, with its alert, for many jobs."""
        words = await one(self.database, jobs, jobs.c.name == "words")
        event = await one(self.database, events, events.c.job == "words")
        run = await one(self.database, runs, runs.c.job_id == words["id"])
        alert = await one(self.database, alerts, alerts.c.job_id == words["id"])
        self.unclear_event = event["id"]
        job, event_id, run_id = (own(id_prefix(noun, "a")) for noun in ("job", "evt", "run"))
        await self.copy(jobs, {**words, "learn_at": None}, DUE, id=job, name=own("words "))
        await self.copy(events, event, DUE, id=event_id, key=own("w"), job=own("words "), run_id=run_id)
        await self.copy(runs, run, DUE, id=run_id, job_id=job, event_id=event_id)
        about = {"job_id": job, "subject_id": job, "event_id": event_id}
        await self.copy(alerts, alert, DUE, id=own(id_prefix("alt", "a")), **about)

    async def _alerts_and_notices(self) -> None:
        alert_id, job = own(id_prefix("alt")), own(self.job_prefix)
        await self.copy(alerts, self.alert, OPEN_ALERTS, id=alert_id, job_id=job, subject_id=job)
        waiting = {**self.notice, "state": "waiting", "message_id": None, "due_at": self.past, "repeat_at": None}
        later = {**waiting, "state": "muted", "due_at": self.now + timedelta(hours=5)}
        repeated = {**waiting, "state": "worded", "repeat_at": self.past}
        kinds = (
            ("a", waiting, 100),
            ("b", {**waiting, "state": "muted"}, DUE),
            ("c", later, OPEN_ALERTS),
            ("d", repeated, DUE),
        )
        for kind, row, count in kinds:
            changed = {"dedupe": own(kind), "alert_id": alert_id, "group_key": own("g")}
            await self.copy(notices, row, count, id=own(id_prefix("ntc", kind)), **changed)
        await self.copy(groups, await one(self.database, groups), OPEN_ALERTS, group_key=own("g"))
        closed = {**self.alert, "closed_at": self.now - timedelta(days=900)}
        await self.copy(alerts, closed, OLD, id=own(id_prefix("alt", is_old=True)), event_id=own("evt_none"))
        old = {**self.notice, "state": "worded", "message_id": None, "repeat_at": None, "alert_id": "alt_none"}
        await self.copy(notices, old, OLD, id=own(id_prefix("ntc", is_old=True)), dedupe=own("old"))

    async def _due_by_the_clock(self) -> None:
        words = await one(self.database, jobs, jobs.c.name == "words")
        wanted = {"expectation": {"period_s": 86400, "grace_s": 3600}}
        await self.api.tell("PATCH", f"/v1/jobs/{words['id']}", json=wanted)
        expectation = (await one(self.database, jobs, jobs.c.id == words["id"]))["expectation"]
        missed = {"expectation": expectation, "next_due_at": self.past, "overdue_at": self.past}
        running = {"ended_at": None, "outcome": None, "started_at": self.past, "overrun_at": self.past}

        def some_of(prefix: str, start: int) -> tuple[str, str]:
            return number_of(prefix, start), number_of(prefix, start + DUE - 1)

        async with self.database.write() as tx:
            for start, values in (
                (20_000, missed),
                (30_000, {"learn_at": self.past}),
                (40_000, {"proposed_expectation": expectation}),
            ):
                where = jobs.c.id.between(*some_of(self.job_prefix, start))
                await tx.connection.execute(update(jobs).where(where).values(values))
            which = runs.c.job_id.between(*some_of(self.job_prefix, 50_000))
            await tx.connection.execute(update(runs).where(which).values(running))
            hosts = agents.c.name < number_of("host ", 200)
            await tx.connection.execute(update(agents).where(hosts).values(silent_at=self.past))
        schedule = {**await one(self.database, summary_schedules), "next_at": self.past}
        await self.copy(summary_schedules, schedule, 150, id=own(id_prefix("sch")), name=own("summary "))

    async def _messages(self) -> None:
        """Copy messages: too old for their transport, leased by a worker that died, dead, waiting, and past the retention."""
        to = Address("smtp", "ann@example.org"), Address("file", "ann@example.org")
        message_id = (await post(self.api.context, *to))[0]
        message = await one(self.database, messages, messages.c.id == message_id)
        body = await one(self.database, bodies, bodies.c.message_id == message_id)
        self.recipient, far = message["recipient_id"], self.now + timedelta(days=2)
        fresh = {**message, "move_on_at": far, "give_up_at": far}
        leased = {**fresh, "state": "leased", "lease_token": "t", "lease_until": self.past, "lease_holder": "worker:x"}
        kinds = (
            ("a", {**message, "move_on_at": self.past, "give_up_at": far}, DUE),
            ("b", leased, DUE),
            ("c", {**fresh, "state": "dead", "settled_at": self.past, "why": "550 no"}, DUE),
            ("d", {**fresh, "address": "old@example.org", "due_at": far}, 10_000),
        )
        for kind, row, count in kinds:
            prefix = id_prefix("msg", kind)
            await self.copy(messages, row, count, id=own(prefix), message_id=own(kind))
            await self.copy(bodies, body, count, message_id=own(prefix))
            if row is leased:
                begun = BEGUN | {"started_at": self.past}
                await self.copy(attempts, begun, count // 2, id=own(id_prefix("att")), message_id=own(prefix))
        sent = {**message, "state": "sent", "settled_at": self.now - timedelta(days=900)}
        old = own(id_prefix("msg", is_old=True))
        await self.copy(messages, sent, OLD, id=old, message_id=own("old"))
        await self.copy(bodies, body | {"mail": body["mail"] * 300}, OLD, message_id=old)
        ended = BEGUN | {"started_at": self.past, "ended_at": self.past}
        await self.copy(attempts, ended, OLD, id=own(id_prefix("att", is_old=True)), message_id=old)
