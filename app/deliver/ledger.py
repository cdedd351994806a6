"""Writes attempts into the store for all senders together: what waits goes into one transaction. It must not send anything.

A sender waits for its line of the ledger before it sends, so a `kill -9` leaves at most as many messages in doubt as there are senders (four for each SMTP connection).
"""

import asyncio
import contextlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

from app.context import AppContext
from app.core.errors import Unavailable
from app.core.log import log
from app.deliver import lease
from app.deliver.settle import Receipt, settle_all
from app.deliver.tell import tell_sent
from app.domain.attempt import Outcome, Sent
from app.domain.lease import Claim, Leased
from app.store import outbox
from app.store.book import SentLine, book, book_plain
from app.store.transactions import WriteTx

_GATHER_S = 0.002  # a commit costs about the same for one attempt as for ten
_TRIES = 4
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 5.0


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

    context: AppContext
    _waiting: list[_Entry] = field(default_factory=list)
    _some: asyncio.Event = field(default_factory=asyncio.Event)  # an entry waits
    _half: asyncio.Event = field(default_factory=asyncio.Event)  # half of all who are at work wait
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
        self._waiting.append(entry)
        self._some.set()
        if len(self._waiting) >= self._out:
            self._half.set()
        return await entry.may_send

    async def renew(self, claims: Collection[Claim], until: datetime) -> None:
        """Prolong leases, not at the same time as they are settled: two transactions would wait for one another."""
        async with self._alone, self.context.database.write() as tx:
            await lease.renew(tx, claims, until)

    async def run(self) -> None:
        """Commit what waits, for ever; every sender must have ended before this is. Under load one half of the senders is sending while the ledger writes for the other."""
        while True:
            await self._some.wait()
            self._some.clear()
            self._half.clear()
            if len(self._waiting) < self._out:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_GATHER_S):
                        await self._half.wait()
            entries, self._waiting = self._waiting, []
            if entries:
                await self._write(entries)

    async def _write(self, entries: Sequence[_Entry]) -> None:
        """Commit, however often it takes while the database is away. An entry that it refuses must not hold up the others."""
        pause, refused = _FIRST_PAUSE_S, 0
        while True:
            try:
                return await self._commit(entries)
            except Unavailable as cause:
                log.warning("attempts wait to be written", entries=len(entries), cause=str(cause), again_in_s=pause)
            except Exception:  # noqa: BLE001  (the rim of this tick: it must not end the senders)
                log.exception("attempts could not be written", entries=len(entries))
                if len(entries) > 1:
                    for entry in entries:
                        await self._write([entry])
                    return None
                refused += 1
                if refused == _TRIES:
                    log.error("an attempt counts as unknown once its lease ran out", ended=repr(entries[0].ended))
                    return _answer(entries, set())
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE_S)

    async def _commit(self, entries: Sequence[_Entry]) -> None:
        now = self.context.clock()
        async with self._alone:
            begun = await self._plainly(entries, now)
            if begun is None:
                async with self.context.database.write() as tx:
                    begun = await _book(tx, entries, now)
        self._out += len(begun)
        _answer(entries, begun)

    async def _plainly(self, entries: Sequence[_Entry], now: datetime) -> set[str] | None:
        """Take the fast road, on which all were sent; None if one was not, or was another's by now."""
        made = [entry.ended for entry in entries if entry.ended is not None]
        lines = _sent_lines(made)
        if len(lines) < len(made):
            return None
        begun = await book_plain(self.context.database, lines, _claims(entries), now)
        if begun is not None:
            tell_sent([one.leased for one in made], now)
        return begun


def _answer(entries: Sequence[_Entry], begun: Collection[str]) -> None:
    for entry in entries:
        if not entry.may_send.done():
            entry.may_send.set_result(entry.begin is not None and entry.begin.message_id in begun)


async def _book(tx: WriteTx, entries: Sequence[_Entry], now: datetime) -> set[str]:
    """Write down what was plainly sent, and leave all else to `settle`. Give the messages that may be sent."""
    made = [entry.ended for entry in entries if entry.ended is not None]
    settled, begun = await book(tx, _sent_lines(made), _claims(entries), now)
    sent = [one.leased for one in made if one.leased.claim.message_id in settled]
    tx.after_commit(partial(tell_sent, sent, now))
    rest = [Receipt(one.leased.claim, one.outcome) for one in made if one.leased.claim.message_id not in settled]
    if rest:
        await settle_all(tx, rest, await outbox.lock(tx, [receipt.claim.message_id for receipt in rest]), now)
    return begun


def _sent_lines(made: Sequence[Ended]) -> list[SentLine]:
    return [
        SentLine(*_claim(one), one.outcome.code[:40], one.outcome.text) for one in made if isinstance(one.outcome, Sent)
    ]


def _claims(entries: Sequence[_Entry]) -> list[Claim]:
    return [entry.begin for entry in entries if entry.begin is not None]


def _claim(ended: Ended) -> tuple[str, str]:
    return ended.leased.claim.message_id, ended.leased.claim.token
