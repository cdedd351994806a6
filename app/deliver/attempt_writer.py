"""Writes attempts to the database for all senders of this process: what is waiting goes into one transaction.

A sender waits until its attempt is written before it sends. So a `kill -9` leaves at most as many messages in doubt as there are
senders (four for each SMTP connection).
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
from app.deliver.report import report_sent
from app.deliver.settle import AttemptResult, settle_all
from app.domain.attempt import Outcome, Sent
from app.domain.lease import Claim, Leased
from app.store import outbox
from app.store.attempts import SentAttempt, settle_sent_and_begin, settle_sent_and_begin_at_once

_GATHER_S = 0.002  # a commit costs about the same for one attempt as for ten
_TRIES = 4
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 5.0


@dataclass(frozen=True, slots=True)
class FinishedAttempt:
    """An attempt that a sender has just made."""

    leased: Leased
    outcome: Outcome


@dataclass(slots=True)
class _Entry:
    """What one sender wants written: how its last attempt ended, and which attempt it begins next."""

    finished: FinishedAttempt | None
    begin: Claim | None
    may_send: asyncio.Future[bool]


@dataclass(slots=True)
class AttemptWriter:
    """The only writer of this process's attempts. Under load, one half of the senders sends while it writes for the other half."""

    context: AppContext
    _waiting: list[_Entry] = field(default_factory=list)
    _has_entry: asyncio.Event = field(default_factory=asyncio.Event)
    _has_half: asyncio.Event = field(default_factory=asyncio.Event)  # half of all busy senders are waiting
    _sending: int = 0  # senders that are sending and will come back
    _one_transaction: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def write(self, finished: FinishedAttempt | None, begin: Claim | None) -> bool:
        """Commit the end of one attempt and the beginning of the next; return whether the next may be sent.

        Never cancel this: an attempt whose end is not written counts as unknown.
        """
        if finished is None and begin is None:
            return False
        if finished is not None:
            self._sending -= 1
        entry = _Entry(finished, begin, asyncio.get_running_loop().create_future())
        self._waiting.append(entry)
        self._has_entry.set()
        if len(self._waiting) >= self._sending:
            self._has_half.set()
        return await entry.may_send

    async def renew(self, claims: Collection[Claim], until: datetime) -> None:
        """Prolong leases, not while attempts are written: the two transactions would wait for each other's rows."""
        async with self._one_transaction, self.context.database.write() as tx:
            await lease.renew(tx, claims, until)

    async def run(self) -> None:
        """Commit what is waiting, until cancelled. Cancel it only after every sender has ended."""
        while True:
            await self._has_entry.wait()
            self._has_entry.clear()
            self._has_half.clear()
            if len(self._waiting) < self._sending:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_GATHER_S):
                        await self._has_half.wait()
            entries, self._waiting = self._waiting, []
            if entries:
                await self._write(entries)

    async def _write(self, entries: Sequence[_Entry]) -> None:
        """Commit, and repeat while the database is away. An entry that the database refuses must not hold up the others."""
        pause, refused = _FIRST_PAUSE_S, 0
        while True:
            try:
                return await self._commit(entries)
            except Unavailable as cause:
                log.warning("attempts wait to be written", entries=len(entries), cause=str(cause), again_in_s=pause)
            except Exception:  # noqa: BLE001  (the boundary of this tick: it must not end the senders)
                log.exception("attempts could not be written", entries=len(entries))
                if len(entries) > 1:
                    for entry in entries:
                        await self._write([entry])
                    return None
                refused += 1
                if refused == _TRIES:
                    finished = repr(entries[0].finished)
                    log.error("an attempt counts as unknown once its lease has expired", finished=finished)
                    return _answer(entries, set())
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE_S)

    async def _commit(self, entries: Sequence[_Entry]) -> None:
        """Commit in one trip to the database if every attempt was sent; otherwise, or if a lease was lost, in a transaction."""
        now = self.context.clock()
        finished = [entry.finished for entry in entries if entry.finished is not None]
        sent = [
            SentAttempt(attempt.leased.claim.message_id, attempt.leased.claim.token, outcome.code[:40], outcome.text)
            for attempt in finished
            if isinstance(outcome := attempt.outcome, Sent) and outcome.evidence is None  # it has no column there
        ]
        begin = [entry.begin for entry in entries if entry.begin is not None]
        begun: set[str] | None = None
        async with self._one_transaction:
            if len(sent) == len(finished):
                begun = await settle_sent_and_begin_at_once(self.context.database, sent, begin, now)
            if begun is not None:
                report_sent([attempt.leased for attempt in finished], now)
            else:
                async with self.context.database.write() as tx:
                    # What was sent under a valid lease; everything else is left to `settle`.
                    settled, begun = await settle_sent_and_begin(tx, sent, begin, now)
                    others = [attempt for attempt in finished if attempt.leased.claim.message_id not in settled]
                    leased = [attempt.leased for attempt in finished if attempt.leased.claim.message_id in settled]
                    tx.after_commit(partial(report_sent, leased, now))
                    if others:
                        results = [AttemptResult(attempt.leased.claim, attempt.outcome) for attempt in others]
                        locked = await outbox.lock(tx, [result.claim.message_id for result in results])
                        await settle_all(tx, results, locked, now)
        self._sending += len(begun)
        _answer(entries, begun)


def _answer(entries: Sequence[_Entry], begun: Collection[str]) -> None:
    for entry in entries:
        if not entry.may_send.done():
            entry.may_send.set_result(entry.begin is not None and entry.begin.message_id in begun)
