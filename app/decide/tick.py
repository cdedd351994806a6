"""One pass of deciding: waiting events become alerts and notices; silences that ended and repeats that are due are judged again.

It never loses an event: one that cannot be folded is set aside with its error, where administrators see it, and the others are decided.
No transaction is long: SQLite has one writer, and while it decides, intake cannot store what others report.
"""

import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from app.context import AppContext
from app.core import metrics
from app.core.errors import Unavailable
from app.core.log import log
from app.core.periodic import Idle
from app.decide import reminders
from app.decide.judge import judge_events
from app.domain.event import Event
from app.store.database_errors import describe_error
from app.store.events import set_event_aside
from app.store.notices import reminders_due
from app.store.transactions import WriteTx
from app.store.waiting import (
    FIRST_PIECE,
    IN_ORDER,
    ClaimedEvents,
    claim_by_id,
    claim_events,
    find_by_indexes,
    oldest_waiting_event,
)
from app.store.writer_queue import WriteOrder

# How many events are claimed and folded together. What one cost in the last piece says how large the next one may be.
LEAST_PIECE, LARGEST_PIECE = 8, 256
LONGEST_S = 0.035  # for one transaction: a piece is as large as there is time left
# On PostgreSQL, which has many writers. A piece has twenty to forty statements, each with 0.1 ms of our CPU time however many events it is
# for, and on a busy machine time passes faster than work is done: in pieces of 35 ms, failures took 2 to 47 % more CPU time there.
LONGEST_OF_MANY_S = 0.1
REMINDERS_S = 0.2  # between two looks for what fell due while events come: each takes as long as deciding four events
LONGEST_SEARCH_S = 1.0  # for the event at fault in a batch; what is left then waits for the next pass


@dataclass(slots=True)
class _Batch:
    """What one transaction has claimed and decided."""

    claimed: list[str] = field(default_factory=list)
    decided: list[Event] = field(default_factory=list)
    is_cut: bool = False  # whether there may be more


async def tick(context: AppContext) -> bool | Idle:
    """Decide on one batch of events and on what fell due. True if there may be more; how long to wait for a wakeup if nothing waits."""
    batch, turns = await _decide_events(context), context.claim_turns
    if batch.claimed and time.monotonic() - turns.reminded_at < REMINDERS_S:
        return batch.is_cut
    turns.reminded_at = time.monotonic()
    if await reminders.tick(context) or batch.is_cut:
        return True
    return False if batch.claimed else await _idle(context)


async def _idle(context: AppContext) -> bool | Idle:
    """Return how long to wait for a wakeup; False if something falls due before then, or another worker has claimed events and may die."""
    idle = context.wakeups.idle
    async with context.database.read() as tx:
        is_due_soon = await reminders_due(tx, context.clock() + idle)
        return False if is_due_soon or await oldest_waiting_event(tx) is not None else Idle(idle)


async def _decide_events(context: AppContext) -> _Batch:
    batch = _Batch()
    try:
        await _decide_batch(context, batch)
    except Unavailable:  # an outage of the database must not set events aside: they did not cause it
        raise
    except Exception as cause:
        if not batch.claimed:  # no event caused it
            raise
        log.error("a batch of events could not be decided; its parts are tried alone", cause=describe_error(cause))
        await _decide_in_parts(context, batch.claimed)
        batch.is_cut = True
    return batch


async def _decide_in_parts(context: AppContext, event_ids: Sequence[str]) -> None:
    """Halve a batch down to the events at fault and set these aside; the others are decided."""
    began = time.perf_counter()
    parts = [event_ids]
    while parts and time.perf_counter() - began < LONGEST_SEARCH_S:
        part = parts.pop()
        try:
            if len(part) <= FIRST_PIECE:
                await _decide_batch(context, _Batch(), only=part)
                continue
        except Unavailable:
            raise
        except Exception as cause:  # noqa: BLE001  (one bad event must not stop all others)
            if len(part) == 1:
                log.exception("an event was set aside", event_id=part[0])
                async with context.database.write() as tx:
                    await set_event_aside(tx, part[0], describe_error(cause))
                continue
        middle = len(part) // 2
        parts += [part[middle:], part[:middle]]


async def _decide_batch(context: AppContext, batch: _Batch, only: Collection[str] = ()) -> None:
    """Decide on piece after piece in one transaction, until nothing waits or it has taken long enough."""
    notices = 0
    async with context.database.write(WriteOrder.DECIDE, is_on_disk=False, settings=IN_ORDER) as tx:
        began = time.perf_counter()
        if only:
            await find_by_indexes(tx, in_order=False)
        turns = context.claim_turns
        size = turns.piece
        while (claim := await _claim(tx, context, size, only, is_first=not batch.claimed)).ids:
            is_first = not batch.claimed
            batch.claimed += claim.ids
            for event_id, error in claim.unreadable.items():
                log.error("an event was set aside: it cannot be read", event_id=event_id, cause=error)
                await set_event_aside(tx, event_id, error)
            judged = await judge_events(tx, claim.events, context.clock(), is_first=is_first)
            notices += judged.notices
            batch.decided += judged.events
            spent = time.perf_counter() - began
            each_s = spent / len(batch.claimed)
            # At most twice as many as before: the next ones may cost more than these, as failures do.
            longest_s = LONGEST_S if context.database.is_sqlite else max(LONGEST_S, LONGEST_OF_MANY_S)
            turns.piece = max(FIRST_PIECE, min(LARGEST_PIECE, 2 * turns.piece, int(longest_s / each_s)))
            size = min(turns.piece, int((longest_s - spent) / each_s))
            if context.database.is_wanted(before=WriteOrder.DECIDE):
                size = 0  # a mail, or reports that wait for their answer
            if judged.has_changed_alerts and not context.database.is_sqlite:
                size = 0  # alerts and groups are locked: to lock more might be to wait for a worker that waits for us
            is_postponed = len(judged.events) < len(claim.events)
            batch.is_cut = is_postponed or (size < LEAST_PIECE and not claim.is_all)
            if batch.is_cut or claim.is_all:  # what comes meanwhile wakes this stage
                break
        seconds = round(time.perf_counter() - began, 4)
        if notices:
            tx.after_commit(lambda: context.wakeups.wake_here("notices"))  # this process composes: no other need look
    decided_at = context.clock()
    seconds_passed = metrics.STAGE_SECONDS.labels("received_to_decided")
    for event in batch.decided:
        seconds_passed.observe(max(0.0, (decided_at - event.received_at).total_seconds()))
    if batch.decided:
        log.debug("decided", events=len(batch.decided), notices=notices, seconds=seconds)


async def _claim(
    tx: WriteTx, context: AppContext, size: int, only: Collection[str], *, is_first: bool
) -> ClaimedEvents:
    if only:
        return await claim_by_id(tx, only)
    return await claim_events(tx, context.claim_turns, size, is_in_order=is_first)
