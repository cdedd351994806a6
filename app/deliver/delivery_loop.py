"""Sends the messages of the outbox: one loop for each transport, so that a slow or dead one holds up only its own messages.

A loop does one thing in one transaction: it settles the attempts that have ended and begins as many as senders are free. So the
attempts that a `kill -9` leaves in doubt are at most as many as there are senders. What happens to a message after an attempt is
decided in `settle`.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta

from app.context import AppContext
from app.core.errors import Unavailable
from app.core.log import log
from app.core.periodic import Idle, keep_ticking, run_in_background
from app.deliver import lease
from app.deliver.settle import AttemptResult, settle_results, settle_sent
from app.deliver.transport import GRAPH_CONCURRENT, Transport, Unsent
from app.domain import own_address
from app.domain.attempt import Outcome, Sent, Temporary, Unknown
from app.domain.lease import Leased
from app.domain.message import KEEPS_STATES, Parcel, takes_json
from app.store import outbox, outbox_at_once
from app.store.writer_queue import WriteOrder

LEASE_FOR = timedelta(seconds=30)  # renewed while sending: only a process that died or hangs loses it
RENEW_S = 10.0
POLL_S = 1.0
# While the database is away: once it is back, what was sent must be written, and what is being sent renewed, before its lease is taken back.
_LONGEST_PAUSE_S = 5.0
_FINISH_S = 8.0  # on a stop; the whole worker has 10 s
_SENDERS = {"webhook": 24, "file": 2, "graph": 2 * GRAPH_CONCURRENT}
_SENDERS_TO_PROGRAM = 16
_PER_ADDRESS = 4  # of the senders to programs: some addresses that never answer must leave senders for the others
# While one sends, attempts are written for the others. To a quick server there are more, or its connections would wait for the disk
# (1 150 mails/s instead of 1 900); to a slow one not, because an alert waits until those that were begun before it are sent.
_SENDERS_PER_CONNECTION, _MOST_PER_CONNECTION = 4, 16
_QUICK_S = 0.1  # how long an attempt may take, with its wait for a connection, if there are to be more


async def run(
    context: AppContext,
    transports: Mapping[str, Transport],
    holder: str,
    stopping: asyncio.Event,
    also: Callable[[], Awaitable[bool]] | None = None,
) -> None:
    """Deliver until `stopping` is set and what was being sent then has ended. Closes the transports.

    `also` is called at each look, and returns whether it may wait as long as the look itself.
    """
    loops = {}
    for name, transport in transports.items():
        connections = context.settings.smtp_connections
        least, most = _SENDERS_PER_CONNECTION * connections, _MOST_PER_CONNECTION * connections
        if (fixed := _SENDERS.get(name, _SENDERS_TO_PROGRAM if takes_json(name) else None)) is not None:
            least = most = fixed
        loops[name] = TransportLoop(context, name, transport, holder, least, most)

    looked_at = float("-inf")

    async def wake_loops_with_due_messages() -> bool | Idle:
        """Ask once for all loops. Three that each began a transaction to find nothing cost more than the message of a fourth."""
        nonlocal looked_at
        now, idle, wakeups = context.clock(), context.wakeups.idle, context.wakeups
        named, may_more_be_due = wakeups.transports & loops.keys(), wakeups.is_any_due
        wakeups.transports.clear()
        for name in named:
            loops[name].look()
        if named and not may_more_be_due and asyncio.get_running_loop().time() - looked_at < POLL_S:
            return False  # what falls due meanwhile is asked for within the same time again
        looked_at = asyncio.get_running_loop().time()
        wakeups.is_any_due = False
        await asyncio.sleep(0)  # they begin at once: 0.5 ms earlier than after the answer about all
        async with context.database.read() as tx:
            due = await outbox.transports_with_due(tx, list(loops), now)
            is_idle = not (named or due or await outbox.transports_with_due(tx, list(loops), now + idle))
        for name in due:
            if name not in named:
                loops[name].look()
        if also is not None and not await also():
            return False
        return Idle(idle) if is_idle else False

    context.wakeups.sent_here = frozenset(loops)
    try:
        async with asyncio.TaskGroup() as group:
            for loop in loops.values():
                group.create_task(loop.run(stopping))
            await keep_ticking(
                wake_loops_with_due_messages,
                name="deliver",
                stopping=stopping,
                every=POLL_S,
                wake=context.wakeups.messages,
                longest_pause=_LONGEST_PAUSE_S,
            )
    finally:
        context.wakeups.sent_here = frozenset()
        await asyncio.gather(*(transport.close() for transport in transports.values()))


@dataclass(slots=True)
class TransportLoop:
    """Sends the messages of one transport, at the same time at most `least`, or up to `most` where each is sent quickly."""

    context: AppContext
    name: str
    transport: Transport
    holder: str
    least: int
    most: int
    _senders: int = field(init=False)
    _wake: asyncio.Event = field(default_factory=asyncio.Event)
    _has_due: bool = False
    _sending: dict[asyncio.Task[Outcome], Leased] = field(default_factory=dict)
    _ended: list[AttemptResult] = field(default_factory=list)  # and not written yet
    _deadlines: set[asyncio.Timeout] = field(default_factory=set)
    _stop_at: float | None = None  # by the clock of the loop: what is still being sent then is broken off
    # Renewing and settling lock the same rows, in different orders: at the same time, PostgreSQL would end one of them.
    _one_transaction: asyncio.Lock = field(default_factory=asyncio.Lock)

    def __post_init__(self) -> None:
        """Begin with as few senders as there may be."""
        self._senders = self.least

    def look(self) -> None:
        """Look for due messages now."""
        self._has_due = True
        self._wake.set()

    async def run(self, stopping: asyncio.Event) -> None:
        """Send until `stopping` is set; then begin nothing new, finish what is being sent and write how it ended."""
        never = asyncio.Event()  # leases are renewed until the last attempt is written
        renewing = keep_ticking(
            self._renew, name=f"renew {self.name}", stopping=never, every=RENEW_S, longest_pause=_LONGEST_PAUSE_S
        )
        async with run_in_background(renewing), asyncio.TaskGroup() as group:

            async def tick() -> bool:
                return await self._tick(group, 0 if stopping.is_set() else self._senders - len(self._sending))

            await keep_ticking(
                tick,
                name=f"deliver {self.name}",
                stopping=stopping,
                every=RENEW_S,
                wake=self._wake,
                longest_pause=_LONGEST_PAUSE_S,
            )
            self._stop_at = asyncio.get_running_loop().time() + _FINISH_S
            for deadline in self._deadlines:
                deadline.reschedule(self._stop_at)
            while self._sending or self._ended:
                if not self._ended:
                    await asyncio.wait(self._sending, return_when=asyncio.FIRST_COMPLETED)
                try:
                    await self._tick(group, 0)
                except Unavailable as cause:
                    log.warning(
                        "the results of attempts could not be stored yet; this is tried again",
                        attempts=len(self._ended),
                        cause=cause.detail,
                    )
                    await asyncio.sleep(POLL_S)

    async def _tick(self, group: asyncio.TaskGroup, free: int) -> bool:
        """Settle the attempts that have ended, and begin up to `free` others. True if there is more to do now."""
        ended = self._ended[:]
        looks = self._has_due and free > 0
        if not ended and not looks:
            return False
        if looks:
            self._has_due = False  # before the transaction: a message that is due during it is looked for again
        try:
            begun = await self._write(ended, free if looks else 0)
        except Exception as error:
            self._has_due = self._has_due or looks
            if isinstance(error, Unavailable) or not ended:
                raise
            log.exception("attempts could not be written", attempts=len(ended))
            for result in ended:
                await self._settle_alone(result)
            return True
        del self._ended[: len(ended)]
        self._has_due = self._has_due or (looks and len(begun) == free)
        for leased in begun:
            task = group.create_task(self._send(leased))
            self._sending[task] = leased
            task.add_done_callback(self._note_end)
        return bool(self._ended) or (self._has_due and len(self._sending) < self._senders)

    async def _write(self, ended: Sequence[AttemptResult], begin: int) -> list[Leased]:
        now, database = self.context.clock(), self.context.database
        # On PostgreSQL, what each of both sides needs is one statement where mails are sent: alone, it is its own transaction.
        is_one_statement = not (database.is_sqlite or takes_json(self.name) or (ended and begin))
        if is_one_statement:
            async with self._one_transaction, database.alone() as alone:
                if begin:
                    return await outbox_at_once.lease_and_begin(
                        alone, self.name, begin, now, self.holder, now + LEASE_FOR
                    )
                ended = await settle_sent(alone, ended, now)
            if not ended:
                return []
        async with self._one_transaction, database.write(WriteOrder.SEND) as tx:
            if not (database.is_sqlite or is_one_statement):
                ended = await settle_sent(tx, ended, now)
            await settle_results(tx, ended, now)
            if not all(isinstance(result.outcome, Sent) for result in ended):  # it may go by another transport now
                tx.after_commit(lambda: self.context.wakeups.wake("messages"))
            if not begin:
                return []
            until, per_address = now + LEASE_FOR, _PER_ADDRESS if takes_json(self.name) else None
            return await lease.lease_and_begin(
                tx, self.name, begin, now, self.holder, until, per_address=per_address, busy=self._busy()
            )

    def _busy(self) -> Mapping[str, int]:
        """Return how many messages are being sent to each address of a program."""
        return Counter(leased.parcel.address for leased in self._sending.values()) if takes_json(self.name) else {}

    async def _settle_alone(self, result: AttemptResult) -> None:
        """Write the end of one attempt: one that the database refuses must not hold up the others."""
        try:
            await self._write([result], 0)
        except Unavailable:
            raise
        except Exception:  # noqa: BLE001  (the boundary of one attempt)
            lost = (
                "the end of an attempt could not be written; its message counts as unknown once the lease has expired"
            )
            log.exception(lost, message=result.claim.message_id, result=repr(result.outcome))
        self._ended.remove(result)

    def _note_end(self, task: asyncio.Task[Outcome]) -> None:
        leased = self._sending[task]
        busy = self._busy().get(leased.parcel.address, 0)
        if busy >= _PER_ADDRESS or (busy and self.name in KEEPS_STATES):
            self._has_due = True  # the next one to this address could not be begun before
        del self._sending[task]
        if not task.cancelled() and task.exception() is None:
            self._ended.append(AttemptResult(leased.claim, task.result()))
            self._wake.set()

    async def _send(self, leased: Leased) -> Outcome:
        """Send one message. Whatever error a transport raises, the attempt has an outcome and the loop goes on."""
        began = asyncio.get_running_loop().time()
        deadline = asyncio.timeout_at(self._stop_at)
        self._deadlines.add(deadline)
        try:
            async with deadline:
                return await self.transport.send(self._with_envelope_sender(leased.parcel))
        except Unsent:
            if not deadline.expired():  # the task itself was cancelled: pass the cancellation on
                raise asyncio.CancelledError from None
            return Temporary("stopped", "the worker was stopped before this was sent")
        except Exception as defect:  # noqa: BLE001  (the boundary of one attempt)
            if deadline.expired():
                return Unknown("stopped", "the worker was stopped while this was being sent")
            log.exception("a transport failed by a defect of ours", transport=self.name, message=leased.parcel.id)
            return Unknown("defect", f"{type(defect).__name__}: {defect}"[:500])
        finally:
            self._deadlines.discard(deadline)
            took = asyncio.get_running_loop().time() - began
            self._senders = (
                min(self._senders + 1, self.most) if took < _QUICK_S else max(self._senders // 2, self.least)
            )

    def _with_envelope_sender(self, parcel: Parcel) -> Parcel:
        """Return the parcel with an envelope sender of its own, over SMTP and if a bounce address is set: no other transport can set one."""
        base = self.context.settings.bounce_address
        if base is None or self.name != "smtp":
            return parcel
        secret = self.context.secret.derive(own_address.PURPOSE)
        sender = own_address.sign_address(secret, base, own_address.AddressKind.BOUNCE, parcel.id)
        return replace(parcel, envelope_sender=sender)

    async def _renew(self) -> bool:
        claims = [leased.claim for leased in self._sending.values()] + [result.claim for result in self._ended]
        if claims:
            async with self._one_transaction, self.context.database.write() as tx:
                await lease.renew(tx, claims, self.context.clock() + LEASE_FOR)
        return False
