"""The messages of this relay and what happened to them, on the disk before anything is done or reported: SQLite, one row per message.

A row exists from the lease until the service accepted the receipt; sent messages are remembered longer, so that a message that comes
again is not sent again. A damaged spool is kept under another name and replaced by a new one. Nothing is sent twice by that: the
service offers begun messages again, marked as possibly sent. This module knows neither MAPI nor HTTP.
"""

from __future__ import annotations

import json
import logging
import sqlite3
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import IO, Any

from programs.protocol.relay import LeaseClaim, LeasedMail
from programs.relay.conversation import SendPhase
from programs.relay.outcomes import RelayOutcome, RelayVerdict

REMEMBER_S = 14 * 86_400
_TABLE = """CREATE TABLE IF NOT EXISTS messages (
    id TEXT PRIMARY KEY, token TEXT NOT NULL, recipient TEXT NOT NULL, message_id TEXT NOT NULL, mime BLOB NOT NULL,
    is_alert INTEGER NOT NULL, taken_at REAL NOT NULL, looked_at REAL NOT NULL DEFAULT 0, is_begun INTEGER NOT NULL DEFAULT 0,
    phase TEXT NOT NULL DEFAULT '', entryid TEXT NOT NULL DEFAULT '', search_key TEXT NOT NULL DEFAULT '',
    verdict TEXT, is_final INTEGER NOT NULL DEFAULT 0, is_handed_in INTEGER NOT NULL DEFAULT 0, ended_at REAL)"""
_ADDED = "ALTER TABLE messages ADD COLUMN has_other_way INTEGER NOT NULL DEFAULT 0"  # to a spool of an older version
_FACTS = """CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL)"""


class SpoolUnusable(Exception):
    """The file cannot be read or written now: a full disk, or a missing one. The text is SQLite's; it may work again later."""


class SpoolInUse(SpoolUnusable):
    """Another process works with this spool. Two would send the same message twice."""


class SpoolDamaged(Exception):
    """The file is not a valid spool any more; the text is SQLite's. See `open_spool`."""


@dataclass(frozen=True)
class SpooledMessage:
    """One message in the spool. `verdict` is its last one; `is_final`: nothing more will be done or learnt."""

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
    has_other_way: bool

    @property
    def claim(self) -> LeaseClaim:
        """The lease under which it is ours."""
        return LeaseClaim(self.id, self.token)


_COLUMNS = tuple(SpooledMessage.__dataclass_fields__)


class RelaySpool:
    """The file. Its methods may be called from any thread; each change is on the disk when they return."""

    def __init__(self, path: Path, lock: IO[bytes] | None = None) -> None:
        self.path = path
        self._held = lock  # open as long as the spool is
        self._lock = threading.RLock()
        with _sqlite_errors():
            self._file = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=30)
        try:
            self._rows("PRAGMA journal_mode=WAL")
            # A phase must survive a power cut: it says whether a mail may have left.
            self._rows("PRAGMA synchronous=FULL")
            self._rows(_TABLE)
            self._rows(_FACTS)
            if "has_other_way" not in [row[1] for row in self._rows("PRAGMA table_info(messages)")]:
                self._rows(_ADDED)
            check = str(self._rows("PRAGMA quick_check(1)")[0][0])
            if check != "ok":
                raise SpoolDamaged(check[:200])  # noqa: TRY301  (the file is closed below)
        except BaseException:
            self._file.close()
            raise

    def close(self) -> None:
        """Close the file, and let another process work with it."""
        with self._lock:
            self._file.close()
        if self._held is not None:
            self._held.close()

    def take(self, mail: LeasedMail) -> None:
        """Store a message that was leased to us.

        A known message is not sent again unless its last try surely failed: its verdict is handed in again instead.
        """
        with self._lock, _sqlite_errors():
            # An older Python leaves a transaction open whose commit found no room on the disk.
            if self._file.in_transaction:
                self._file.rollback()
            # One transaction: a kill halfway would leave a message that may have left as one that can be sent.
            with self._file:
                self._rows("BEGIN IMMEDIATE")
                known = self.find(mail.id)
                if known is not None and not _may_go_again(known):
                    self._rows("UPDATE messages SET token = ?, is_handed_in = 0 WHERE id = ?", mail.token, mail.id)
                    return
                self._rows("DELETE FROM messages WHERE id = ?", mail.id)
                kept = {name: getattr(mail, name) for name in _COLUMNS if hasattr(mail, name)}
                values = {**kept, "taken_at": time.time()}
                places = ", ".join("?" * len(values))
                self._rows(f"INSERT INTO messages ({', '.join(values)}) VALUES ({places})", *values.values())  # noqa: S608
                if mail.maybe_sent and (known is None or not known.is_begun):
                    self.start(mail.id)  # as if it had begun here: it is never sent again, however often it comes
                    reason = "it may have been submitted before, and this relay has no record of it: it is not sent again without proof"
                    self.end(mail.id, RelayVerdict(RelayOutcome.UNKNOWN, reason, {"looked": True}))

    def next_to_send(self) -> SpooledMessage | None:
        """Return the first message that was not begun: alerts before summaries."""
        return self._one("verdict IS NULL AND is_begun = 0 ORDER BY is_alert DESC, taken_at LIMIT 1")

    def next_in_doubt(self, every_s: float) -> SpooledMessage | None:
        """Return a message that may have left and was not looked for in the last `every_s` seconds."""
        now = time.time()  # a look in the future means that the clock was set back: then it is due, too
        due = "is_begun = 1 AND is_final = 0 AND looked_at NOT BETWEEN ? AND ? ORDER BY looked_at LIMIT 1"
        return self._one(due, now - every_s, now)

    def start(self, message_id: str) -> None:
        """Record that an attempt begins."""
        self._rows("UPDATE messages SET is_begun = 1 WHERE id = ?", message_id)

    def note(self, message_id: str, phase: SendPhase) -> None:
        """Record how far the child is, before it may continue."""
        keys = (phase.entryid, phase.search_key)
        also = ", entryid = ?, search_key = ?" if any(keys) else ""
        self._rows(f"UPDATE messages SET phase = ?{also} WHERE id = ?", phase.name, *(keys if also else ()), message_id)  # noqa: S608

    def end(self, message_id: str, verdict: RelayVerdict, *, looked: bool = False) -> None:
        """Record a verdict. `looked`: it comes from a look into the folders, so that the next look can wait."""
        text, now = json.dumps(verdict.as_json()), time.time()
        is_in_doubt = verdict.outcome == RelayOutcome.UNKNOWN and verdict.evidence.get("looked") is not True
        is_final = not is_in_doubt and verdict.outcome != RelayOutcome.QUEUED
        ends = (
            "UPDATE messages SET verdict = ?, is_final = ?, is_handed_in = 0, looked_at = ?, ended_at = ? WHERE id = ?"
        )
        with self._lock:
            self._rows(ends, text, is_final, now if looked else 0.0, now, message_id)
            if verdict.outcome == RelayOutcome.SENT:
                self.remember("sent", str(self.sent + 1))

    def to_hand_in(self) -> Sequence[SpooledMessage]:
        """Return the messages with a verdict that the service does not have yet."""
        return self._many("verdict IS NOT NULL AND is_handed_in = 0 ORDER BY ended_at LIMIT 50")

    def handed_in(self, claim: LeaseClaim) -> None:
        """Record that the service accepted the verdict under this lease."""
        mime = "mime = CASE WHEN is_final THEN x'' ELSE mime END"
        self._rows(f"UPDATE messages SET is_handed_in = 1, {mime} WHERE id = ? AND token = ?", claim.id, claim.token)  # noqa: S608

    def holding(self, *, begun: bool = False) -> Sequence[LeaseClaim]:
        """Return the leases of all unsettled messages; `begun`: only of begun ones, so that the service takes back the others."""
        held = "SELECT id, token FROM messages WHERE is_begun >= ? AND (is_final = 0 OR is_handed_in = 0)"
        return [LeaseClaim(*row) for row in self._rows(held, begun)]

    def drop_unbegun(self) -> None:
        """Forget the messages that were not begun: the service has taken them back."""
        self._rows("DELETE FROM messages WHERE is_begun = 0 AND verdict IS NULL")

    def tidy(self) -> None:
        """Forget messages that were settled long ago."""
        old = "DELETE FROM messages WHERE is_final = 1 AND is_handed_in = 1 AND ended_at < ?"
        self._rows(old, time.time() - REMEMBER_S)

    def waiting(self) -> tuple[int, float]:
        """Return the number of unsettled messages, and the age of the oldest in seconds."""
        row = self._rows("SELECT count(*), min(taken_at) FROM messages WHERE is_final = 0 OR is_handed_in = 0")[0]
        return int(row[0]), max(0.0, time.time() - row[1]) if row[1] else 0.0

    @property
    def unbegun(self) -> int:
        """The number of messages that were not begun."""
        return int(self._rows("SELECT count(*) FROM messages WHERE is_begun = 0 AND verdict IS NULL")[0][0])

    @property
    def sent(self) -> int:
        """The number of messages sent since the spool was created."""
        return int(self.recall("sent") or 0)

    def remember(self, name: str, value: str) -> None:
        """Store a fact about the relay itself."""
        self._rows(
            "INSERT INTO facts VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value", name, value
        )

    def recall(self, name: str) -> str:
        """Return a fact; empty if it is not known."""
        rows = self._rows("SELECT value FROM facts WHERE name = ?", name)
        return str(rows[0][0]) if rows else ""

    def trouble(self) -> str:
        """Try to write. Return why that fails; empty if it works."""
        try:
            self.remember("written", str(time.time()))
        except SpoolUnusable as cause:
            return str(cause)
        return ""

    def find(self, message_id: str) -> SpooledMessage | None:
        """Return one message."""
        return self._one("id = ?", message_id)

    def all(self, most: int = 200) -> Sequence[SpooledMessage]:
        """Return the newest messages, for people."""
        return self._many("1 ORDER BY taken_at DESC LIMIT ?", most)

    def _one(self, condition: str, *values: Any) -> SpooledMessage | None:  # noqa: ANN401  (what SQLite takes)
        found = self._many(condition, *values)
        return found[0] if found else None

    def _many(self, condition: str, *values: Any) -> list[SpooledMessage]:  # noqa: ANN401
        messages = []
        for row in self._rows(f"SELECT {', '.join(_COLUMNS)} FROM messages WHERE {condition}", *values):  # noqa: S608
            fields = dict(zip(_COLUMNS, row))
            fields.update((name, bool(fields[name])) for name in _COLUMNS if name.startswith(("is_", "has_")))
            verdict = fields["verdict"] and RelayVerdict(**json.loads(fields["verdict"]))
            messages.append(SpooledMessage(**{**fields, "verdict": verdict or None}))
        return messages

    def _rows(self, statement: str, *values: Any) -> list[Any]:  # noqa: ANN401
        with self._lock, _sqlite_errors():
            return self._file.execute(statement, values).fetchall()


@contextmanager
def _sqlite_errors() -> Iterator[None]:
    """Turn SQLite's errors into ours: a damaged file, or one that cannot be used now."""
    try:
        yield
    except sqlite3.OperationalError as cause:
        raise SpoolUnusable(str(cause)) from cause
    except sqlite3.DatabaseError as cause:
        raise SpoolDamaged(str(cause)) from cause


def _may_go_again(known: SpooledMessage) -> bool:
    """Return whether a message that comes again may be sent again: its last try ended, and surely did not send it."""
    ended = known.verdict
    if ended is None:
        return not known.is_begun
    was_taken_back = ended.outcome == RelayOutcome.STUCK and ended.evidence.get("aborted") is True
    return was_taken_back or ended.outcome not in ("sent", "handed_over", "stuck", "queued", "unknown")


FILE_NAME = "spool.db"
_DAMAGED, _ENDINGS = ".damaged-", ("-wal", "-shm")
log = logging.getLogger("tocsin.relay")


def open_spool(folder: Path) -> RelaySpool:
    """Open the spool in the relay's folder, for this process alone. Only the relay itself may: a damaged spool is moved away.

    Raises SpoolInUse.
    """
    path, lock = folder / FILE_NAME, _locked(folder)
    try:
        return RelaySpool(path, lock)
    except SpoolDamaged as cause:
        kept = path.with_name(f"{path.name}{_DAMAGED}{datetime.now(timezone.utc):%Y%m%d-%H%M%S}")
        # The file first: with its log moved first, a kill would leave it to be opened without what only the log has. SQLite ignores
        # an old log next to a new file.
        path.replace(kept)
        for ending in _ENDINGS:
            with suppress(FileNotFoundError):
                path.with_name(path.name + ending).replace(kept.with_name(kept.name + ending))
        log.error("the spool was damaged (%s): there is a new one now, the old one is kept as %s", cause, kept.name)  # noqa: TRY400  (its trace adds nothing)
        return RelaySpool(path, lock)


def _locked(folder: Path) -> IO[bytes]:
    """Lock the folder for this process. The system lifts the lock when the process ends, also when it is killed. Raises SpoolInUse."""
    lock = (folder / "relay.lock").open("ab")
    try:
        if sys.platform == "win32":
            import msvcrt  # noqa: PLC0415  (Windows only)

            lock.seek(0)
            msvcrt.locking(lock.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl  # noqa: PLC0415  (not on Windows)

            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as taken:
        lock.close()
        raise SpoolInUse(f"another relay works with {folder}: stop the service first, or use another --home") from taken
    return lock


def damaged_copy(spool: RelaySpool) -> str:
    """Return the name of the newest damaged spool that is still next to this one; empty if there is none."""
    found = (path.name for path in spool.path.parent.glob(f"{spool.path.name}{_DAMAGED}*"))
    return max((name for name in found if not name.endswith(_ENDINGS)), default="")
