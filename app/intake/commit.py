"""The group commit: all requests that wait share one transaction, and each learns what became of its own events.

One task per process. An event is never reported as stored before the commit, and one request's error never fails another request.
"""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence

from app.context import AppContext
from app.core import metrics
from app.core.errors import CannotWrite, Overloaded, Unavailable
from app.core.log import log
from app.domain.budget import is_routine
from app.domain.enrolment import refuse_rejected
from app.intake.batch import Batch, BatchPart
from app.intake.budgets import KeyBudgets, SenderKey
from app.intake.enrol import AskedAgent, Enrolled
from app.intake.flow import AgentFlows
from app.intake.new_names import NewNames
from app.store.database_errors import describe_error, is_fault_of_data
from app.store.intake import NewEvent, add_events

COMMIT_TIMEOUT_S = 45.0
DRAIN_S = 10.0
MAX_GROUP_EVENTS = 1000  # in one transaction, unless a single request has more
MAX_QUEUE_BYTES = 128 * 1024 * 1024  # the queue is limited by the number of events and by the size of their bodies
MAX_KNOWN_AGENTS = 50_000
AGENT_CACHE_S = 5.0  # an agent that was deleted through another process is created again after this time


class KnownAgents:
    """A short-lived cache of agents' ids by (customer, name), so that not every event needs a query for its agent."""

    def __init__(self) -> None:
        self._ids: dict[tuple[str, str], str] = {}
        self._valid_until = 0.0

    def find(self, customer_id: str, name: str) -> str | None:
        """Return the id if it is cached."""
        return self._ids.get((customer_id, name)) if time.monotonic() < self._valid_until else None

    def remember(self, ids: Mapping[tuple[str, str], str]) -> None:
        """Add ids that are committed."""
        if not ids:
            return
        now = time.monotonic()
        if now >= self._valid_until or len(self._ids) + len(ids) > MAX_KNOWN_AGENTS:
            self._ids.clear()
            self._valid_until = now + AGENT_CACHE_S
        self._ids.update(ids)

    def forget(self) -> None:
        """Clear the cache. Called after an agent was deleted or renamed in this process."""
        self._ids.clear()


class GroupCommit:
    """Commit the events that wait. While one transaction runs, the next one collects."""

    def __init__(self, context: AppContext, agents: KnownAgents, budgets: KeyBudgets) -> None:
        self._context = context
        self._agents = agents
        self.new_names = NewNames(context, budgets)
        self.flows = AgentFlows()
        self._waiting: list[Batch] = []
        self._in_progress: list[Batch] = []
        self._queued_events = 0  # waiting and in progress
        self._queued_bytes = 0
        self._wake = asyncio.Event()
        self._is_closing = False

    @contextlib.contextmanager
    def holding_a_place(self, events: Sequence[NewEvent], size: int) -> Iterator[None]:
        """Count a body that is stored in parts, as long as it is in memory. Raises Overloaded and Unavailable before any of it is stored."""
        self._check_room(events, size)
        count = len(events)
        self._queued_events += count
        self._queued_bytes += size
        try:
            yield
        finally:
            self._queued_events -= count
            self._queued_bytes -= size

    async def store(
        self,
        events: list[NewEvent],
        unknown: dict[int, AskedAgent],
        size: int,
        key: SenderKey | None = None,
        *,
        has_place: bool = False,
    ) -> Batch:
        """Wait until the events are committed, and return the batch with their results. Raises Overloaded, Unavailable.

        A caller that is cancelled stops waiting; its events are committed all the same. `has_place`: they are counted already.
        """
        if self._is_closing:
            raise Unavailable("the service is stopping; try again")
        if not has_place:
            self._check_room(events, size)
        batch = Batch(events, unknown, size, asyncio.get_running_loop().create_future(), key)
        self._queued_events += len(events)
        self._queued_bytes += size
        self._waiting.append(batch)
        self._wake.set()
        await batch.done
        if batch.error is not None:
            raise batch.error
        return batch

    def _check_room(self, events: Sequence[NewEvent], size: int) -> None:
        """Judge a request as a whole: a part of it that holds only routine must not keep the failures behind it out."""
        writing = self._context.database.writing
        if writing.is_saving_room and events and all(is_routine(event.outcome, event.severity) for event in events):
            writing.refuse_routine()
        if self._queued_events and (
            self._queued_events + len(events) > self._context.settings.intake_queue
            or self._queued_bytes + size > MAX_QUEUE_BYTES
        ):
            raise Overloaded("too many events are waiting to be stored; try again")

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Commit until the block ends, then commit what still waits, for at most 10 s."""
        task = asyncio.create_task(self._run())
        try:
            yield
        finally:
            self._is_closing = True
            self._wake.set()
            with contextlib.suppress(asyncio.CancelledError, TimeoutError):
                async with asyncio.timeout(DRAIN_S):
                    await task
            for batch in (*self._in_progress, *self._waiting):  # these must not be reported as stored
                batch.error = Unavailable("the service is stopping; try again")
                self._finish(batch)

    async def _run(self) -> None:
        while not (self._is_closing and not self._waiting):
            await self._wake.wait()
            self._wake.clear()
            while self._waiting:
                self._in_progress = self._take_group()
                try:
                    await self._commit([BatchPart(batch, range(len(batch.events))) for batch in self._in_progress])
                except Exception:  # noqa: BLE001  (an error boundary: if this loop ended, no event would be answered any more)
                    for batch in self._in_progress:  # nobody knows what was stored; sent again, it is the same event
                        batch.error = Unavailable("an internal error prevents storing the event; try again")
                    log.exception(
                        "events could not be stored because of a bug of ours; their senders are asked to send them again"
                    )
                for batch in self._in_progress:
                    self._finish(batch)
                self._in_progress = []
                metrics.INTAKE_QUEUE.set(self._queued_events)

    def _take_group(self) -> list[Batch]:
        """Take the first batches that wait, not all: otherwise all senders would be answered, and send again, at the same time."""
        count = events = 0
        while count < len(self._waiting) and events < MAX_GROUP_EVENTS:
            events += len(self._waiting[count].events)
            count += 1
        taken, self._waiting = self._waiting[:count], self._waiting[count:]
        return taken

    def _finish(self, batch: Batch) -> None:
        self._queued_events -= len(batch.events)
        self._queued_bytes -= batch.size
        if not batch.done.done():  # its caller may have been cancelled
            batch.done.set_result(None)

    async def _commit(self, parts: list[BatchPart]) -> None:
        """Store parts in one transaction. If the data of one is at fault, store them in halves, down to the single bad event.

        An error that is no fault of the data (the store raises Unavailable) is not attributed to an event, and nothing is split.
        """
        try:
            async with asyncio.timeout(COMMIT_TIMEOUT_S):
                await self._commit_once(parts)
        except (Unavailable, TimeoutError) as cause:
            if isinstance(cause, CannotWrite) and cause.made_room:  # once: many tools do not send a failure again
                await self._commit(parts)
                return
            for part in parts:
                part.batch.error = (
                    cause if isinstance(cause, Unavailable) else Unavailable("the database is too slow; try again")
                )
        except Exception as cause:  # noqa: BLE001  (the error boundary of every request that waits here)
            halves = _split(parts)
            for half in halves:
                await self._commit(half)
            if not halves:
                _reject(parts[0], cause)

    async def _commit_once(self, parts: list[BatchPart]) -> None:
        metrics.INTAKE_QUEUE.set(self._queued_events)
        context = self._context
        with metrics.COMMIT_SECONDS.time():
            enrolled = Enrolled()
            if self.new_names.has_new(parts):
                enrolled = await self.new_names.admit(parts)
                self._agents.remember(enrolled.ids)
            of_parts = [(part.batch.key, _rows_of(part, enrolled)) for part in parts]
            rows = [row for _, of_part in of_parts for row in of_part]
            duplicates = await add_events(context.database, rows)
            if len(duplicates) < len(rows):
                context.database.writing.note_written()
                context.wakeups.wake("events")
        self.flows.count(of_parts, duplicates)
        stored = [row for row in rows if row.id not in duplicates] if duplicates else rows
        for outcome, count in Counter([row.outcome for row in stored]).items():
            metrics.EVENTS.labels("accepted", outcome or "").inc(count)
        if duplicates:
            metrics.EVENTS.labels("duplicate", "").inc(len(duplicates))
            for part in parts:
                part.batch.duplicates += sum(part.batch.events[index].id in duplicates for index in part.indexes)


def _reject(part: BatchPart, cause: Exception) -> None:
    """Reject the event if its data is at fault. For any other error it is not stored, and its sender is asked to send it again."""
    if is_fault_of_data(cause):
        log.error(
            "the database refuses an event because of a bug of ours; the event is rejected", cause=describe_error(cause)
        )
        part.batch.unstorable.add(part.indexes.start)
        return
    log.exception("an event cannot be stored because of a bug of ours; its sender is asked to send it again")
    part.batch.error = Unavailable("an internal error prevents storing the event; try again")


def _rows_of(part: BatchPart, enrolled: Enrolled) -> list[NewEvent]:
    """Return the events to store, each with the id of its agent, and note in the batch those whose agent was not let in."""
    batch = part.batch
    if not batch.unknown and part.is_whole():
        return batch.events
    left = part.left()
    if not batch.unknown:
        return [batch.events[index] for index in left]
    rows: list[NewEvent] = []
    for index in left:
        agent = batch.unknown.get(index)
        event = batch.events[index]
        if agent is None:
            rows.append(event)
        elif (agent_id := enrolled.ids.get(agent[:2])) is not None:
            rows.append(event.with_agent(agent_id))
        else:
            batch.not_let_in[index] = enrolled.refused.get(agent) or refuse_rejected(agent.name)
    return rows


def _split(parts: list[BatchPart]) -> list[list[BatchPart]]:
    """Split between requests first, then within the one that is left. Return nothing for a single event."""
    if len(parts) > 1:
        middle = len(parts) // 2
        return [parts[:middle], parts[middle:]]
    batch, indexes = parts[0].batch, parts[0].indexes
    if len(indexes) <= 1:
        return []
    middle = len(indexes) // 2
    return [[BatchPart(batch, indexes[:middle])], [BatchPart(batch, indexes[middle:])]]
