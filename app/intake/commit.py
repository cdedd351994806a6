"""The group commit: all requests that wait share one transaction, and each learns how its own events fared.

One task per process. It must never say "stored" before the commit, nor let one request's fault fail another's.
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass, field

from app.context import AppContext
from app.core import metrics
from app.core.errors import Overloaded, TocsinError, Unavailable
from app.core.log import log
from app.intake.agents import KnownAgents
from app.store.away import is_fault_of_data, told_of
from app.store.intake import NewEvent, add_events, agents_by_name

COMMIT_S = 45.0
DRAIN_S = 10.0
GROUP_MOST = 1000  # events in one transaction, but for a single request that has more
BYTES_MOST = 128 * 1024 * 1024  # the queue is bounded by events and by what they weigh


@dataclass(slots=True)
class Batch:
    """One request's events. `unknown`: places of events whose agent has no id yet, with its name."""

    customer_id: str
    events: list[NewEvent]
    unknown: dict[int, str]
    weight: int
    done: asyncio.Future[None]
    duplicates: int = 0
    unstorable: set[int] = field(default_factory=set)  # places of events that the database refuses: a defect of ours
    failed: TocsinError | None = None


@dataclass(frozen=True, slots=True)
class _Part:
    """Some of a batch's events, by their places: what one transaction takes of it."""

    batch: Batch
    places: range

    def unknown(self) -> list[str]:
        """Name the agents without an id among them."""
        return [name for place, name in self.batch.unknown.items() if place in self.places]


class GroupCommit:
    """Commits what waits. While one transaction is under way, the next one gathers."""

    def __init__(self, context: AppContext, agents: KnownAgents) -> None:
        self._context = context
        self._agents = agents
        self._waiting: list[Batch] = []
        self._under_way: list[Batch] = []
        self._events = 0  # waiting and under way
        self._bytes = 0
        self._wake = asyncio.Event()
        self._is_closing = False

    async def store(self, customer_id: str, events: list[NewEvent], unknown: dict[int, str], weight: int) -> Batch:
        """Wait until events are committed and give how they fared. Raises Overloaded, Unavailable.

        A caller that goes away stops waiting; its events are committed all the same.
        """
        if self._is_closing:
            raise Unavailable("the service is stopping; try again")
        if self._events and (
            self._events + len(events) > self._context.settings.intake_queue or self._bytes + weight > BYTES_MOST
        ):
            raise Overloaded("too many events are waiting to be stored; try again")
        batch = Batch(customer_id, events, unknown, weight, asyncio.get_running_loop().create_future())
        self._events += len(events)
        self._bytes += weight
        self._waiting.append(batch)
        self._wake.set()
        await batch.done
        if batch.failed is not None:
            raise batch.failed
        return batch

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Commit until the block ends, then what still waits, for at most 10 s."""
        task = asyncio.create_task(self._run())
        try:
            yield
        finally:
            self._is_closing = True
            self._wake.set()
            with contextlib.suppress(asyncio.CancelledError, TimeoutError):
                await asyncio.wait_for(task, DRAIN_S)
            for batch in (*self._under_way, *self._waiting):  # nobody may be told that these are stored
                batch.failed = Unavailable("the service is stopping; try again")
                self._finish(batch)

    async def _run(self) -> None:
        while not (self._is_closing and not self._waiting):
            await self._wake.wait()
            self._wake.clear()
            while self._waiting:
                self._under_way = self._next_group()
                await self._settle([_Part(batch, range(len(batch.events))) for batch in self._under_way])
                for batch in self._under_way:
                    self._finish(batch)
                self._under_way = []
                metrics.INTAKE_QUEUE.set(self._events)

    def _next_group(self) -> list[Batch]:
        """Take the first that wait, not all: else their senders are answered, and send again, all at once, in step with the disk."""
        count = events = 0
        while count < len(self._waiting) and events < GROUP_MOST:
            events += len(self._waiting[count].events)
            count += 1
        taken, self._waiting = self._waiting[:count], self._waiting[count:]
        return taken

    def _finish(self, batch: Batch) -> None:
        self._events -= len(batch.events)
        self._bytes -= batch.weight
        if not batch.done.done():  # its caller may have gone away
            batch.done.set_result(None)

    async def _settle(self, parts: list[_Part]) -> None:
        """Store parts in one transaction; if one of them is at fault, in halves, down to the one event that is.

        What is no fault of the data (the store calls it Unavailable) is neither halved nor blamed on an event.
        """
        try:
            async with asyncio.timeout(COMMIT_S):
                await self._transact(parts)
        except (Unavailable, TimeoutError) as cause:
            for part in parts:
                part.batch.failed = (
                    cause if isinstance(cause, Unavailable) else Unavailable("the database is too slow; try again")
                )
        except Exception as cause:  # noqa: BLE001  (the rim of every request that waits here)
            halves = _halves(parts)
            for half in halves:
                await self._settle(half)
            if not halves:
                _blame(parts[0], cause)

    async def _transact(self, parts: list[_Part]) -> None:
        metrics.INTAKE_QUEUE.set(self._events)
        with metrics.COMMIT_SECONDS.time():
            there, rows = await self._add(parts)
        for outcome, count in Counter(row.outcome for row in rows if row.id not in there).items():
            metrics.EVENTS.labels("accepted", outcome or "").inc(count)
        if there:
            metrics.EVENTS.labels("duplicate", "").inc(len(there))
            for part in parts:
                part.batch.duplicates += sum(part.batch.events[place].id in there for place in part.places)

    async def _add(self, parts: list[_Part]) -> tuple[Collection[str], list[NewEvent]]:
        """Give the ids of those that were there already, and all rows that were handed over."""
        context = self._context
        wanted = {(part.batch.customer_id, name) for part in parts for name in part.unknown()}
        ids = {}
        if wanted:  # before and apart: an agent that stays without events does no harm
            async with context.database.write() as tx:
                ids = await agents_by_name(tx, wanted, context.clock())
            self._agents.remember(ids)
        rows = _rows(parts, ids)
        there = await add_events(context.database, rows)
        if len(there) < len(rows):
            context.wakeups.wake("events")
        return there, rows


def _blame(part: _Part, cause: Exception) -> None:
    """Reject the one event whose data is at fault. By any other defect it is only not stored: it may be sent again."""
    if is_fault_of_data(cause):
        log.error("the database refuses an event by a defect of ours; it is rejected", cause=told_of(cause))
        part.batch.unstorable.add(part.places.start)
        return
    log.exception("an event cannot be stored by a defect of ours; its sender is asked to send it again")
    part.batch.failed = Unavailable("a defect of ours keeps it from being stored; try again")


def _rows(parts: list[_Part], ids: dict[tuple[str, str], str]) -> list[NewEvent]:
    rows: list[NewEvent] = []
    for part in parts:
        batch = part.batch
        if not batch.unknown:
            rows += (
                batch.events
                if len(part.places) == len(batch.events)
                else [batch.events[place] for place in part.places]
            )
            continue
        for place in part.places:
            agent = batch.unknown.get(place)
            event = batch.events[place]
            rows.append(event if agent is None else event._replace(agent_id=ids[batch.customer_id, agent]))
    return rows


def _halves(parts: list[_Part]) -> list[list[_Part]]:
    """Split between requests first, then within the one that is left; nothing is left to split at one event."""
    if len(parts) > 1:
        middle = len(parts) // 2
        return [parts[:middle], parts[middle:]]
    batch, places = parts[0].batch, parts[0].places
    if len(places) <= 1:
        return []
    middle = len(places) // 2
    return [[_Part(batch, places[:middle])], [_Part(batch, places[middle:])]]
