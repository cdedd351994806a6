"""Agents and jobs that are reported for the first time: each is let in within the budgets of the key that names it.

Beyond a budget, routine is refused. A failure is stored all the same: up to as many new names again as the budget allows, it creates its agent
or job as usual; after that it is stored as an event of the key's own job (domain/excess.py), which names its source.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from app.context import AppContext
from app.domain.budget import Budget, is_routine
from app.domain.dedupe import new_name_key
from app.domain.event import Severity
from app.domain.excess import job_name
from app.domain.service_event import AGENT, service_event
from app.intake.batch import Batch, BatchPart
from app.intake.budgets import KeyBudgets, SenderKey
from app.intake.enrol import AskedAgent, Enrolled, let_in
from app.store.agents import agents_by_id
from app.store.events import insert_clock_events
from app.store.intake import find_jobs, find_or_create_agents
from app.store.transactions import WriteTx
from app.store.writer_queue import WriteOrder

KNOWN_JOBS_MOST = 200_000  # as numbers of 64 bits
_MESSAGE_MOST = 4096
_Place = tuple[Batch, int]  # an event: its batch, and its index there
_Job = tuple[str, str, str, str]  # customer, agent's id, name, activity


@dataclass(slots=True)
class _Decisions:
    """What a transaction decides; it counts once the transaction is committed, for otherwise it is decided again."""

    over: list[tuple[_Place, Budget]] = field(default_factory=list)  # both of the following
    refused: list[tuple[_Place, Budget]] = field(default_factory=list)
    by_key: list[_Place] = field(default_factory=list)
    new_jobs: set[int] = field(default_factory=set)

    def note(self, budget: Budget, places: Sequence[_Place]) -> None:
        """Note events whose agent or job is beyond a budget."""
        for place in places:
            self.over.append((place, budget))
            if _is_routine(place):
                self.refused.append((place, budget))
            else:
                self.by_key.append(place)

    def places(self) -> set[tuple[int, int]]:
        """Return what is settled: the identity of the batch, and the index."""
        return {(id(batch), index) for (batch, index), _ in self.over}


class NewNames:
    """Lets new agents and jobs in, or not."""

    def __init__(self, context: AppContext, budgets: KeyBudgets) -> None:
        self._context, self._budgets = context, budgets
        self._known_jobs: set[int] = set()

    def has_new(self, parts: Iterable[BatchPart]) -> bool:
        """Return whether any of the events names an agent or a job that this process does not know."""
        known = self._known_jobs
        for part in parts:
            batch = part.batch
            if batch.unknown:
                return True
            if batch.key is None:
                continue
            for index in part.indexes:
                event = batch.events[index]
                if event.job is not None and hash((event.agent_id, event.job, event.activity)) not in known:
                    return True
        return False

    async def admit(self, parts: Sequence[BatchPart]) -> Enrolled:
        """Let agents and jobs in, note in the batches what is not let in, and return the ids of the agents that were unknown.

        Before the events and apart from them: an agent that is left without events does no harm. Only what has something to write waits for
        the writer: in a storm each failure names a new job, and waiting for SQLite's writer twice doubled the time of its request.
        """
        now = self._context.clock()
        by_agent: dict[
            AskedAgent, list[_Place]
        ] = {}  # in their order, because a key with a limit lets in the first ones
        for part in parts:
            for index in part.left():
                if index in part.batch.unknown:
                    by_agent.setdefault(part.batch.unknown[index], []).append((part.batch, index))
        decided, enrolled = _Decisions(), Enrolled()
        if by_agent:
            async with self._context.database.write(WriteOrder.STORE) as tx:
                enrolled = await let_in(
                    tx, by_agent, now, lambda agent: self._has_room(Budget.AGENTS, by_agent[agent], now)
                )
            for agent in enrolled.over_budget:
                decided.note(Budget.AGENTS, by_agent[agent])
        if by_job := self._unknown_jobs(parts, enrolled, decided):
            async with self._context.database.read() as tx:
                known = await find_jobs(tx, by_job)
            self._admit_jobs(by_job, known, decided, now)
        if decided.by_key:
            async with self._context.database.write(WriteOrder.STORE) as tx:
                await self._store_by_key(tx, decided.by_key, now)
                tx.after_commit(lambda: self._context.wakeups.wake("events"))
        self._carry_out(decided, now)
        return enrolled

    def take_one(self, budget: Budget, key: SenderKey | None, agent: str) -> None:
        """Take one new agent or job that no event creates. Raises OverBudget."""
        now = self._context.clock().timestamp()
        if key is None:
            return
        meter = self._budgets.meter(key, now)
        if not (meter.agents if budget is Budget.AGENTS else meter.jobs).take(1, now):
            raise meter.refuse(budget, [agent], now)

    def _carry_out(self, decided: _Decisions, now: datetime) -> None:
        """Note what was decided in the batches, and count it."""
        for (batch, index), budget in decided.refused:
            batch.refused[index] = budget
        for batch, index in decided.by_key:
            batch.reported_by_key.add(index)
        for (batch, index), budget in decided.over:
            if batch.key is not None:
                asked, is_failure = batch.unknown.get(index), index in batch.reported_by_key
                meter = self._budgets.meter(batch.key, now.timestamp())
                meter.refuse(budget, [asked.name if asked else ""], now.timestamp(), failures=int(is_failure))
        if len(self._known_jobs) + len(decided.new_jobs) > KNOWN_JOBS_MOST:
            self._known_jobs.clear()
        self._known_jobs |= decided.new_jobs

    def _unknown_jobs(
        self, parts: Sequence[BatchPart], enrolled: Enrolled, decided: _Decisions
    ) -> dict[_Job, list[_Place]]:
        """Return the jobs that this process does not know, with the events that name them."""
        settled = decided.places()
        by_job: dict[_Job, list[_Place]] = {}
        for part in parts:
            batch = part.batch
            for index in part.left() if batch.key is not None else ():
                event = batch.events[index]
                if event.job is None or (id(batch), index) in settled:
                    continue
                unknown = batch.unknown.get(index)
                agent_id = event.agent_id if unknown is None else enrolled.ids.get(unknown[:2])
                if agent_id is not None and hash((agent_id, event.job, event.activity)) not in self._known_jobs:
                    job = (event.customer_id, agent_id, event.job, event.activity)
                    by_job.setdefault(job, []).append((batch, index))
        return by_job

    def _admit_jobs(
        self,
        by_job: Mapping[_Job, Sequence[_Place]],
        known: Collection[tuple[str, str, str]],
        decided: _Decisions,
        now: datetime,
    ) -> None:
        for job, places in by_job.items():
            if job[1:] in known or self._has_room(Budget.JOBS, places, now):
                decided.new_jobs.add(hash(job[1:]))
            else:
                decided.note(Budget.JOBS, places)

    def _has_room(self, budget: Budget, places: Sequence[_Place], now: datetime) -> bool:
        """Return whether a new name that these events have in common is let in."""
        key = places[0][0].key
        if key is None:
            return True
        meter = self._budgets.meter(key, now.timestamp())
        bucket = meter.agents if budget is Budget.AGENTS else meter.jobs
        if bucket.take(1, now.timestamp()):
            return True
        return not all(map(_is_routine, places)) and bucket.overdraw(1, now.timestamp())

    async def _store_by_key(self, tx: WriteTx, places: Sequence[_Place], now: datetime) -> None:
        if not places:
            return
        owners = await find_or_create_agents(
            tx, {(batch.events[index].customer_id, AGENT) for batch, index in places}, now
        )
        agents = await agents_by_id(tx, {batch.events[index].agent_id for batch, index in places})
        made = []
        for batch, index in places:
            event, key = batch.events[index], batch.key
            if key is not None:
                known = agents.get(event.agent_id)
                name = known.name if known else batch.unknown[index].name
                source = f"{name}, job {event.job}" if event.job else name
                made.append(
                    service_event(
                        (event.customer_id, owners[event.customer_id, AGENT]),
                        new_name_key(name, event.key),
                        job_name(key.name, key.hint),
                        f"{source}: {event.message or 'it reports a failure without a message'}"[:_MESSAGE_MOST],
                        now,
                        is_well=False,
                        failed_as=Severity.CRITICAL if event.severity == Severity.CRITICAL.value else Severity.ERROR,
                        log=event.log,
                    )
                )
        await insert_clock_events(tx, made)


def _is_routine(place: _Place) -> bool:
    batch, index = place
    return is_routine(batch.events[index].outcome, batch.events[index].severity)
