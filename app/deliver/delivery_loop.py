"""Sends the messages of the outbox: one loop for each transport, and one AttemptWriter for all of them.

A slow or dead transport holds up only its own loop. What happens to a message after an attempt is decided in `settle`.
"""

import asyncio
import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta

from app.context import AppContext
from app.core.errors import Unavailable
from app.core.log import log
from app.core.periodic import keep_ticking, run_in_background
from app.deliver import lease
from app.deliver.attempt_writer import AttemptWriter, FinishedAttempt
from app.deliver.transport import Transport, Unsent
from app.deliver.transports.graph import CONCURRENT
from app.domain import own_address
from app.domain.attempt import Outcome, Temporary, Unknown
from app.domain.lease import Claim, Leased
from app.domain.message import Parcel

LEASE_FOR = timedelta(seconds=30)  # renewed while sending: only a process that died or hangs loses it
RENEW_S = 10.0
POLL_S = 1.0
LARGEST_CHUNK = 100
# A chunk of leased messages should last about this long: a new critical alert waits for at most one chunk.
_CHUNK_SHORT_S, _CHUNK_LONG_S = 0.5, 2.0
_FINISH_S = 8.0  # on a stop; the whole worker has 10 s
_SENDERS = {"webhook": 8, "file": 2, "graph": 2 * CONCURRENT}
_SENDERS_PER_CONNECTION = (
    4  # while one sends, attempts are written for the others: the connection never waits for the disk
)


async def run(context: AppContext, transports: Mapping[str, Transport], holder: str, stopping: asyncio.Event) -> None:
    """Deliver until `stopping` is set and what was being sent then has ended. Closes the transports."""
    writer = AttemptWriter(context)
    loops = []
    for name, transport in transports.items():
        senders = _SENDERS.get(name, _SENDERS_PER_CONNECTION * context.settings.smtp_connections)
        loops.append(TransportLoop(context, name, transport, senders, holder, writer))

    async def wake_all_loops() -> None:
        """Pass each wakeup on to every loop: if they shared one event, the first to see it would clear it for the others."""
        while True:
            await context.wakeups.messages.wait()
            context.wakeups.messages.clear()
            for loop in loops:
                loop.wake.set()

    try:
        async with (
            run_in_background(writer.run()),
            run_in_background(wake_all_loops()),
            asyncio.TaskGroup() as group,
        ):
            for loop in loops:
                group.create_task(loop.run(stopping))
    finally:
        await asyncio.gather(*(transport.close() for transport in transports.values()))


@dataclass(slots=True)
class TransportLoop:
    """Leases messages of one transport in small chunks and sends them with several senders."""

    context: AppContext
    name: str
    transport: Transport
    senders: int
    holder: str
    writer: AttemptWriter
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    _leased: asyncio.Queue[Leased | None] = field(default_factory=asyncio.Queue)  # None: the sender that takes it ends
    _sending: dict[str, Claim] = field(default_factory=dict)
    _deadlines: set[asyncio.Timeout] = field(default_factory=set)
    _chunk: int = 1
    _has_more: bool = False
    _leased_at: float = 0.0

    async def run(self, stopping: asyncio.Event) -> None:
        """Lease and send until `stopping` is set; then lease nothing new, finish what is being sent and return the rest to the queue."""
        async with asyncio.TaskGroup() as group:
            senders = [group.create_task(self._send_messages()) for _ in range(self.senders)]
            group.create_task(keep_ticking(self._renew, name=f"renew {self.name}", stopping=stopping, every=RENEW_S))
            await keep_ticking(self.tick, name=f"deliver {self.name}", stopping=stopping, every=POLL_S, wake=self.wake)
            await self._give_back()
            await asyncio.wait(senders, timeout=_FINISH_S)
            for deadline in self._deadlines:
                deadline.reschedule(asyncio.get_running_loop().time())

    async def tick(self) -> bool:
        """Lease messages for the senders."""
        room = self._room()
        if room <= 0:
            return False
        now = self.context.clock()
        async with self.context.database.write() as tx:
            leased = await lease.lease(tx, self.name, room, now, self.holder, now + LEASE_FOR)
        self._has_more = len(leased) == room
        for message in leased:
            self._leased.put_nowait(message)
        return False

    def _room(self) -> int:
        """Return how many to lease: about what is sent within a second, so that other workers get some and urgent ones can overtake."""
        clock = asyncio.get_running_loop().time()
        if self._leased.qsize() > self._chunk // 2:
            return 0
        lasted, self._leased_at = clock - self._leased_at, clock
        if not self._has_more:
            self._chunk = self.senders
        elif lasted < _CHUNK_SHORT_S:
            self._chunk = min(self._chunk * 2, max(LARGEST_CHUNK, self.senders))
        elif lasted > _CHUNK_LONG_S:
            self._chunk = max(self._chunk // 2, self.senders)
        return self._chunk - self._leased.qsize()

    async def _send_messages(self) -> None:
        """Send one message after another. Each attempt is written before it starts, and its end before the next one starts."""
        finished: FinishedAttempt | None = None
        while True:
            if finished is not None and self._leased.empty():
                await self._write(finished, None)
                finished = None
            leased = await self._leased.get()
            if self._has_more and self._leased.qsize() <= self._chunk // 2:
                self.wake.set()
            if leased is None:
                await self._write(finished, None)
                return
            self._sending[leased.claim.message_id] = leased.claim
            if not await self._write(finished, leased.claim):
                self._sending.pop(leased.claim.message_id, None)
                finished = None
                continue
            finished = FinishedAttempt(leased, await self._send(leased))

    async def _write(self, finished: FinishedAttempt | None, begin: Claim | None) -> bool:
        may_send = await self.writer.write(finished, begin)
        if finished is not None:
            self._sending.pop(finished.leased.claim.message_id, None)
        return may_send

    async def _send(self, leased: Leased) -> Outcome:
        """Send one message. Whatever error a transport raises, the attempt has an outcome and the sender goes on."""
        deadline = asyncio.timeout(None)
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

    def _with_envelope_sender(self, parcel: Parcel) -> Parcel:
        """Return the parcel with an envelope sender of its own, over SMTP and if a bounce address is set: no other transport can set one."""
        base = self.context.settings.bounce_address
        if base is None or self.name != "smtp":
            return parcel
        secret = self.context.secret.derive(own_address.PURPOSE)
        sender = own_address.sign_address(secret, base, own_address.AddressKind.BOUNCE, parcel.id)
        return replace(parcel, envelope_sender=sender)

    async def _renew(self) -> bool:
        if self._sending:
            await self.writer.renew(list(self._sending.values()), self.context.clock() + LEASE_FOR)
        return False

    async def _give_back(self) -> None:
        """Return what is leased and not begun to the queue, and let each sender end. If the database is away, the leases expire by themselves."""
        claims = []
        while not self._leased.empty():
            leased = self._leased.get_nowait()
            if leased is not None:
                claims.append(leased.claim)
        for _ in range(self.senders):
            self._leased.put_nowait(None)
        with contextlib.suppress(Unavailable):
            async with self.context.database.write() as tx:
                await lease.give_back(tx, claims)
