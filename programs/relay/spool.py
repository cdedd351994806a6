"""What this relay was given and what became of it, on the disk before anything is done or said: a SQLite file, one row a message.

A row lives from the lease until the service took the receipt; what was sent is remembered longer, so that a message that comes
again is not sent again. It must not know MAPI or HTTP.
"""

from __future__ import annotations

import json
import logging
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from programs.protocol.relay import LeaseClaim, LeasedMail
from programs.relay.conversation import SendPhase
from programs.relay.outcomes import RelayOutcome, RelayVerdict

REMEMBER_S = 14 * 86_400
_TABLE = """CREATE TABLE IF NOT EXISTS messages (
    id TEXT PRIMARY KEY, token TEXT NOT NULL, recipient TEXT NOT NULL, message_id TEXT NOT NULL, mime BLOB NOT NULL,
    is_alert INTEGER NOT NULL, taken_at REAL NOT NULL, looked_at REAL NOT NULL DEFAULT 0, is_begun INTEGER NOT NULL DEFAULT 0,
    phase TEXT NOT NULL DEFAULT '', entryid TEXT NOT NULL DEFAULT '', search_key TEXT NOT NULL DEFAULT '',
    verdict TEXT, is_final INTEGER NOT NULL DEFAULT 0, is_handed_in INTEGER NOT NULL DEFAULT 0, ended_at REAL)"""
_FACTS = """CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL)"""


class SpoolUnusable(Exception):
    """The file cannot be read or written now: a full disk, or one that is away. The text is SQLite's; it may be well again."""


class SpoolDamaged(Exception):
    """The file is no spool any more; the text says how SQLite found that. See programs/relay/set_aside.py."""


@dataclass(frozen=True)
class SpooledMessage:
    """One message as it lies here. `verdict` is its last one; `is_final`: nothing more will be done or learnt."""

    id: str
    token: str
    recipient: str
    message_id: str
    mime: bytes
    is_alert: bool
    taken_at: float
    is_begun: bool
    phase: str
    entryid: str
    search_key: str
    verdict: RelayVerdict | None
    is_final: bool
    is_handed_in: bool

    @property
    def claim(self) -> LeaseClaim:
        """Give the lease under which it is ours."""
        return LeaseClaim(self.id, self.token)


class RelaySpool:
    """The file. Its methods may be called from any thread; each is on the disk when it returns."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.RLock()
        with _told_apart():
            self._file = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=30)
        try:
            self._do("PRAGMA journal_mode=WAL")
            self._do(
                "PRAGMA synchronous=FULL"
            )  # a phase must survive a power cut: it says whether a mail may have left
            self._do(_TABLE)
            self._do(_FACTS)
            self._check()
        except BaseException:
            self._file.close()
            raise

    def _check(self) -> None:
        found = self._rows("PRAGMA quick_check(1)")[0][0]
        if found != "ok":
            raise SpoolDamaged(str(found)[:200])

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._file.close()

    def take(self, posted: LeasedMail) -> None:
        """Note a message that was leased to us.

        One that we know already is not sent again unless its last try surely failed: its verdict is handed in anew instead.
        """
        now = time.time()
        with self._together():  # a kill halfway would leave what may have left as if it could be sent
            known = self.find(posted.id)
            if known is not None and not _may_go_again(known):
                self._do("UPDATE messages SET token = ?, is_handed_in = 0 WHERE id = ?", posted.token, posted.id)
                return
            self._do("DELETE FROM messages WHERE id = ?", posted.id)
            row = (posted.id, posted.token, posted.recipient, posted.message_id, posted.mime, posted.is_alert, now)
            columns = "id, token, recipient, message_id, mime, is_alert, taken_at"
            self._do(f"INSERT INTO messages ({columns}) VALUES (?, ?, ?, ?, ?, ?, ?)", *row)  # noqa: S608
            if posted.maybe_sent and (known is None or not known.is_begun):
                self.start(posted.id)  # as if it had been begun here: however often it comes, it does not go again
                self.end(posted.id, _nothing_known())

    def next_to_send(self) -> SpooledMessage | None:
        """Give the first that was not begun: alerts before summaries."""
        return self._one("verdict IS NULL AND is_begun = 0 ORDER BY is_alert DESC, taken_at LIMIT 1")

    def next_in_doubt(self, every_s: float) -> SpooledMessage | None:
        """Give one that may have left and was not looked for in the last `every_s` seconds. A look from later than now: the clock was put back."""
        now = time.time()
        return self._one(
            "is_begun = 1 AND is_final = 0 AND looked_at NOT BETWEEN ? AND ? ORDER BY looked_at LIMIT 1",
            now - every_s,
            now,
        )

    def start(self, message_id: str) -> None:
        """Note that an attempt begins."""
        self._do("UPDATE messages SET is_begun = 1 WHERE id = ?", message_id)

    def note(self, message_id: str, phase: SendPhase) -> None:
        """Note how far the child is, before it may go on."""
        keys = (phase.entryid, phase.search_key)
        also = ", entryid = ?, search_key = ?" if any(keys) else ""
        self._do(f"UPDATE messages SET phase = ?{also} WHERE id = ?", phase.name, *(keys if also else ()), message_id)  # noqa: S608

    def end(self, message_id: str, verdict: RelayVerdict, *, looked: bool = False) -> None:
        """Note what became of it. `looked`: by a look into the folders, so that the next one can wait."""
        is_final = not is_open(verdict)
        with self._lock:
            self._do(
                "UPDATE messages SET verdict = ?, is_final = ?, is_handed_in = 0, looked_at = ?, ended_at = ? WHERE id = ?",
                json.dumps(verdict.as_json()),
                is_final,
                time.time() if looked else 0.0,
                time.time(),
                message_id,
            )
            if verdict.outcome == RelayOutcome.SENT:
                self.remember("sent", str(self.sent + 1))

    def to_hand_in(self) -> Sequence[SpooledMessage]:
        """Give those with a verdict that the service does not know yet."""
        return self._many("verdict IS NOT NULL AND is_handed_in = 0 ORDER BY ended_at LIMIT 50")

    def handed_in(self, claim: LeaseClaim) -> None:
        """Note that the service took the verdict under this lease."""
        self._do(
            "UPDATE messages SET is_handed_in = 1, mime = CASE WHEN is_final THEN x'' ELSE mime END WHERE id = ? AND token = ?",
            claim.id,
            claim.token,
        )

    def holding(self, *, begun: bool = False) -> Sequence[LeaseClaim]:
        """Give the leases of all that is not settled; `begun`: without those that were not begun, so that they go back."""
        rows = self._rows(
            "SELECT id, token FROM messages WHERE is_begun >= ? AND (is_final = 0 OR is_handed_in = 0)", begun
        )
        return [LeaseClaim(*row) for row in rows]

    def drop_unbegun(self) -> None:
        """Forget what was not begun and went back."""
        self._do("DELETE FROM messages WHERE is_begun = 0 AND verdict IS NULL")

    def tidy(self) -> None:
        """Forget what was settled long ago."""
        self._do(
            "DELETE FROM messages WHERE is_final = 1 AND is_handed_in = 1 AND ended_at < ?", time.time() - REMEMBER_S
        )

    def waiting(self) -> tuple[int, float]:
        """Give how many are not settled, and since how many seconds the oldest lies here."""
        row = self._rows("SELECT count(*), min(taken_at) FROM messages WHERE is_final = 0 OR is_handed_in = 0")[0]
        return int(row[0]), max(0.0, time.time() - row[1]) if row[1] else 0.0

    @property
    def unbegun(self) -> int:
        """Count what was not begun."""
        return int(self._rows("SELECT count(*) FROM messages WHERE is_begun = 0 AND verdict IS NULL")[0][0])

    @property
    def sent(self) -> int:
        """Count what was sent since the spool was made."""
        return int(self.recall("sent") or 0)

    def remember(self, name: str, value: str) -> None:
        """Keep a fact of the relay's own."""
        self._do("INSERT INTO facts VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value", name, value)

    def recall(self, name: str) -> str:
        """Give a fact; empty if it is not known."""
        rows = self._rows("SELECT value FROM facts WHERE name = ?", name)
        return str(rows[0][0]) if rows else ""

    def trouble(self) -> str:
        """Try to write, and say why that fails; empty if it works."""
        try:
            self.remember("written", str(time.time()))
        except SpoolUnusable as cause:
            return str(cause)
        return ""

    def find(self, message_id: str) -> SpooledMessage | None:
        """Give one message."""
        return self._one("id = ?", message_id)

    def all(self, most: int = 200) -> Sequence[SpooledMessage]:
        """Give the newest, for people."""
        return self._many("1 ORDER BY taken_at DESC LIMIT ?", most)

    def _one(self, condition: str, *values: Any) -> SpooledMessage | None:  # noqa: ANN401  (what SQLite takes)
        found = self._many(condition, *values)
        return found[0] if found else None

    def _many(self, condition: str, *values: Any) -> list[SpooledMessage]:  # noqa: ANN401
        columns = "id, token, recipient, message_id, mime, is_alert, taken_at, is_begun, phase, entryid, search_key, verdict, is_final, is_handed_in"
        return [_spooled(row) for row in self._rows(f"SELECT {columns} FROM messages WHERE {condition}", *values)]  # noqa: S608

    @contextmanager
    def _together(self) -> Iterator[None]:
        """Have all that is written within be on the disk at once, or not at all."""
        with self._lock, _told_apart():
            if self._file.in_transaction:  # an older Python leaves one open that found no room at its end
                self._file.rollback()
            with self._file:
                self._do("BEGIN IMMEDIATE")
                yield

    def _rows(self, statement: str, *values: Any) -> list[Any]:  # noqa: ANN401
        with self._lock, _told_apart():
            return self._file.execute(statement, values).fetchall()

    def _do(self, statement: str, *values: Any) -> None:  # noqa: ANN401
        self._rows(statement, *values)


@contextmanager
def _told_apart() -> Iterator[None]:
    """Tell a file that is spoilt from one that cannot be used now."""
    try:
        yield
    except sqlite3.OperationalError as cause:
        raise SpoolUnusable(str(cause)) from cause
    except sqlite3.DatabaseError as cause:
        raise SpoolDamaged(str(cause)) from cause


def is_open(verdict: RelayVerdict) -> bool:
    """Say whether more can be learnt of a message."""
    in_doubt = verdict.outcome == RelayOutcome.UNKNOWN and verdict.evidence.get("looked") is not True
    return verdict.outcome == RelayOutcome.QUEUED or in_doubt


def _may_go_again(known: SpooledMessage) -> bool:
    """Say whether a message that comes again may be sent again: its last try ended, and surely did not send it."""
    if not known.is_begun:
        return True
    ended = known.verdict
    was_taken_back = ended is not None and ended.outcome == RelayOutcome.STUCK and ended.evidence.get("aborted") is True
    may_have_left = ended is None or ended.outcome in (
        RelayOutcome.SENT,
        RelayOutcome.STUCK,
        RelayOutcome.QUEUED,
        RelayOutcome.UNKNOWN,
    )
    return was_taken_back or not may_have_left


def _nothing_known() -> RelayVerdict:
    reason = "it may have been submitted before, and this relay has no record of it: it is not sent blindly"
    return RelayVerdict(RelayOutcome.UNKNOWN, reason, {"looked": True})


def _spooled(row: Any) -> SpooledMessage:  # noqa: ANN401
    told = json.loads(row[11]) if row[11] else None
    verdict = None if told is None else RelayVerdict(told["outcome"], told["reason"], told["evidence"], told["cause"])
    return SpooledMessage(
        row[0], row[1], row[2], row[3], row[4], bool(row[5]), row[6], bool(row[7]), row[8], row[9], row[10], verdict,
        bool(row[12]), bool(row[13]),
    )  # fmt: skip


NAME = "spool.db"
_DAMAGED, _ENDINGS = ".damaged-", ("-wal", "-shm")
log = logging.getLogger("tocsin.relay")


def open_spool(folder: Path) -> RelaySpool:
    """Open the spool in the relay's folder, for the relay itself: nobody else may set one aside."""
    path = folder / NAME
    try:
        return RelaySpool(path)
    except SpoolDamaged as cause:
        kept = _put_aside(path)
        log.error("the spool was damaged (%s): a new one is begun, the old one is kept as %s", cause, kept.name)  # noqa: TRY400  (its trace says no more)
        return RelaySpool(path)


def damaged_copy(spool: RelaySpool) -> str:
    """Name the damaged spool that still lies beside this one, the newest; empty if there is none."""
    found = (path.name for path in spool.path.parent.glob(f"{spool.path.name}{_DAMAGED}*"))
    return max((name for name in found if not name.endswith(_ENDINGS)), default="")


def _put_aside(path: Path) -> Path:
    kept = path.with_name(f"{path.name}{_DAMAGED}{datetime.now(timezone.utc):%Y%m%d-%H%M%S}")
    # First: after a kill it would be opened without what only its log has. A new file heeds no old log.
    path.replace(kept)
    for ending in _ENDINGS:
        with suppress(FileNotFoundError):
            path.with_name(path.name + ending).replace(kept.with_name(kept.name + ending))
    return kept
