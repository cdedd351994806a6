"""One transport's line: leases messages in small chunks and sends them by several senders. A slow or dead transport holds up only its own line."""

import asyncio
import contextlib
from dataclasses import dataclass, field
from datetime import timedelta

from app.context import AppContext
from app.core.errors import Unavailable
from app.core.log import log
from app.core.periodic import keep_ticking
from app.deliver import lease
from app.deliver.ledger import Ended, Ledger
from app.deliver.transport import Transport, Unsent
from app.domain.attempt import Outcome, Temporary, Unknown
from app.domain.lease import Claim, Leased

LEASE_FOR = timedelta(seconds=30)  # renewed while sending: only who died or hangs loses it
RENEW_S = 10.0
POLL_S = 1.0
LARGEST_CHUNK = 100
_SOON_S, _LATE_S = (
    0.5,
    2.0,
)  # a chunk should last about this long: a new critical alert waits no longer than for one chunk
_FINISH_S = 8.0  # on a stop, of the 10 s that the whole worker has


@dataclass(slots=True)
class Line:
    """What one process leased of one transport and what it is sending of that."""

    context: AppContext
    name: str
    transport: Transport
    senders: int
    holder: str
    ledger: Ledger
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    _stock: asyncio.Queue[Leased | None] = field(default_factory=asyncio.Queue)
    _sending: dict[str, Claim] = field(default_factory=dict)
    _deadlines: set[asyncio.Timeout] = field(default_factory=set)
    _chunk: int = 1
    _is_more: bool = False
    _leased_at: float = 0.0

    async def run(self, stopping: asyncio.Event) -> None:
        """Lease and send until `stopping` is set; then lease nothing new, finish what is being sent and give the rest back."""
        async with asyncio.TaskGroup() as group:
            senders = [group.create_task(self._send_on()) for _ in range(self.senders)]
            group.create_task(keep_ticking(self._renew, name=f"renew {self.name}", stopping=stopping, every=RENEW_S))
            await keep_ticking(self.tick, name=f"deliver {self.name}", stopping=stopping, every=POLL_S, wake=self.wake)
            await self._give_back()
            await asyncio.wait(senders, timeout=_FINISH_S)
            for deadline in self._deadlines:
                deadline.reschedule(asyncio.get_running_loop().time())

    async def tick(self) -> bool:
        """Fill the stock up from the outbox; the senders do the rest."""
        room = self._room()
        if room <= 0:
            return False
        now = self.context.clock()
        async with self.context.database.write() as tx:
            leased = await lease.lease(tx, self.name, room, now, self.holder, now + LEASE_FOR)
        self._is_more = len(leased) == room
        for one in leased:
            self._stock.put_nowait(one)
        return False

    def _room(self) -> int:
        """Say how many to lease: about as many as are sent within a second, so that others get some and urgent ones can overtake."""
        clock = asyncio.get_running_loop().time()
        if self._stock.qsize() > self._chunk // 2:
            return 0
        lasted, self._leased_at = clock - self._leased_at, clock
        if not self._is_more:
            self._chunk = self.senders
        elif lasted < _SOON_S:
            self._chunk = min(self._chunk * 2, max(LARGEST_CHUNK, self.senders))
        elif lasted > _LATE_S:
            self._chunk = max(self._chunk // 2, self.senders)
        return self._chunk - self._stock.qsize()

    async def _send_on(self) -> None:
        """Send one message after another. Each attempt is in the ledger before it starts, and after it ended, before the next."""
        ended: Ended | None = None
        while True:
            if ended is not None and self._stock.empty():
                await self._write(ended, None)
                ended = None
            leased = await self._stock.get()
            if self._is_more and self._stock.qsize() <= self._chunk // 2:
                self.wake.set()
            if leased is None:
                await self._write(ended, None)
                return
            self._sending[leased.claim.message_id] = leased.claim
            if not await self._write(ended, leased.claim):
                self._sending.pop(leased.claim.message_id, None)
                ended = None
                continue
            ended = Ended(leased, await self._try(leased))

    async def _write(self, ended: Ended | None, begin: Claim | None) -> bool:
        may_send = await self.ledger.write(ended, begin)
        if ended is not None:
            self._sending.pop(ended.leased.claim.message_id, None)
        return may_send

    async def _try(self, leased: Leased) -> Outcome:
        """Send. Whatever a defect of a transport does, its sender lives on, and the attempt has an end."""
        deadline = asyncio.timeout(None)
        self._deadlines.add(deadline)
        try:
            async with deadline:
                return await self.transport.send(leased.parcel)
        except Unsent:
            if not deadline.expired():  # somebody else's cancellation: it must go on
                raise asyncio.CancelledError from None
            return Temporary("stopped", "the worker was stopped before this was sent")
        except Exception as defect:  # noqa: BLE001  (the rim of one attempt)
            if deadline.expired():
                return Unknown("stopped", "the worker was stopped while this was being sent")
            log.exception("a transport failed by a defect of ours", transport=self.name, message=leased.parcel.id)
            return Unknown("defect", f"{type(defect).__name__}: {defect}"[:500])
        finally:
            self._deadlines.discard(deadline)

    async def _renew(self) -> bool:
        if self._sending:
            await self.ledger.renew(list(self._sending.values()), self.context.clock() + LEASE_FOR)
        return False

    async def _give_back(self) -> None:
        """Return the stock, and let each sender end. If the database is away, the leases run out by themselves."""
        claims = []
        while not self._stock.empty():
            leased = self._stock.get_nowait()
            if leased is not None:
                claims.append(leased.claim)
        for _ in range(self.senders):
            self._stock.put_nowait(None)
        with contextlib.suppress(Unavailable):
            async with self.context.database.write() as tx:
                await lease.give_back(tx, claims)
