"""Writes attempts into the store for all senders together: what waits goes into one transaction. It must not send anything.

A sender waits for its line of the ledger before it sends, so a `kill -9` leaves at most as many messages in doubt as there are senders.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

from app.base.log import log
from app.deliver import lease
from app.deliver.settle import Receipt, settle_all
from app.deliver.tell import tell_sent
from app.domain.lease import Claim, Leased
from app.domain.outcome import Outcome, Sent
from app.house import House
from app.store import outbox
from app.store.book import SentLine, book
from app.store.unit import Unit

_GATHER_S = 0.001  # a commit costs the same for one attempt as for ten
_TRIES = 8
_LONGEST_PAUSE_S = 30.0


@dataclass(frozen=True, slots=True)
class Ended:
    """An attempt that a sender has just made."""

    leased: Leased
    outcome: Outcome


@dataclass(slots=True)
class _Entry:
    """What one sender wants written: how its last attempt ended, which it begins next."""

    ended: Ended | None
    begin: Claim | None
    may_send: asyncio.Future[bool]


@dataclass(slots=True)
class Ledger:
    """The one writer of this process's attempts."""

    house: House
    _waiting: asyncio.Queue[_Entry] = field(default_factory=asyncio.Queue)
    _out: int = 0  # senders that are sending, and will come back
    _alone: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def write(self, ended: Ended | None, begin: Claim | None) -> bool:
        """Commit the end of one attempt and the beginning of the next; say whether the next may be sent.

        Never to be cancelled: an attempt whose end is not written counts as unknown.
        """
        if ended is None and begin is None:
            return False
        if ended is not None:
            self._out -= 1
        entry = _Entry(ended, begin, asyncio.get_running_loop().create_future())
        self._waiting.put_nowait(entry)
        return await entry.may_send

    async def renew(self, claims: Collection[Claim], until: datetime) -> None:
        """Prolong leases, not at the same time as they are settled: two transactions would wait for one another."""
        async with self._alone, self.house.store.write() as unit:
            await lease.renew(unit, claims, until)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Write until the block ends; every sender must have ended by then."""
        task = asyncio.create_task(self._run())
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def _run(self) -> None:
        while True:
            entries = [await self._waiting.get()]
            if self._out:
                await asyncio.sleep(_GATHER_S)
            while not self._waiting.empty():
                entries.append(self._waiting.get_nowait())
            if not await self._written(entries):
                for entry in entries:  # one that the database refuses must not hold up the others
                    await self._write_alone(entry)

    async def _write_alone(self, entry: _Entry) -> None:
        for tries in range(_TRIES):
            if await self._written([entry]):
                return
            await asyncio.sleep(min(2.0**tries, _LONGEST_PAUSE_S))
        log.error(
            "an attempt could not be written; it counts as unknown once its lease ran out", ended=repr(entry.ended)
        )
        if not entry.may_send.done():
            entry.may_send.set_result(False)

    async def _written(self, entries: Sequence[_Entry]) -> bool:
        now = self.house.clock()
        try:
            async with self._alone, self.house.store.write() as unit:
                begun = await _book(unit, entries, now)
        except Exception:  # noqa: BLE001  (the rim of this tick: a database that is away must not end the senders)
            log.exception("attempts could not be written, trying again", entries=len(entries))
            return False
        for entry in entries:
            may_send = entry.begin is not None and entry.begin.message_id in begun
            self._out += may_send
            if not entry.may_send.done():
                entry.may_send.set_result(may_send)
        return True


async def _book(unit: Unit, entries: Sequence[_Entry], now: datetime) -> set[str]:
    """Take the fast road where it leads, and `settle` for all else. Give the messages that may be sent."""
    made = [entry.ended for entry in entries if entry.ended is not None]
    lines = [
        SentLine(*_claim(one), one.outcome.code[:40], one.outcome.text) for one in made if isinstance(one.outcome, Sent)
    ]
    settled, begun = await book(unit, lines, [entry.begin for entry in entries if entry.begin is not None], now)
    sent = [one.leased for one in made if one.leased.claim.message_id in settled]
    for leased in sent:
        unit.after_commit(partial(tell_sent, leased, now))
    rest = [Receipt(one.leased.claim, one.outcome) for one in made if one.leased.claim.message_id not in settled]
    if rest:
        await settle_all(unit, rest, await outbox.lock(unit, [receipt.claim.message_id for receipt in rest]), now)
    return begun


def _claim(ended: Ended) -> tuple[str, str]:
    return ended.leased.claim.message_id, ended.leased.claim.token
