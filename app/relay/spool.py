"""What this relay was given and what became of it, on the disk before anything is done or said: a SQLite file, one row a message.

A row lives from the lease until the service took the receipt; what was sent is remembered longer, so that a message that comes
again is not sent again. It must not know MAPI or HTTP.
"""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.relay.conversation import Phase
from app.relay.outcomes import Outcome, Verdict
from app.wire.relay import Claim, Posted

REMEMBER_S = 14 * 86_400
_TABLE = """CREATE TABLE IF NOT EXISTS messages (
    id TEXT PRIMARY KEY, token TEXT NOT NULL, recipient TEXT NOT NULL, message_id TEXT NOT NULL, mime BLOB NOT NULL,
    is_alert INTEGER NOT NULL, taken_at REAL NOT NULL, looked_at REAL NOT NULL DEFAULT 0, is_begun INTEGER NOT NULL DEFAULT 0,
    phase TEXT NOT NULL DEFAULT '', entryid TEXT NOT NULL DEFAULT '', search_key TEXT NOT NULL DEFAULT '',
    verdict TEXT, is_final INTEGER NOT NULL DEFAULT 0, is_handed_in INTEGER NOT NULL DEFAULT 0, ended_at REAL)"""
_FACTS = """CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL)"""


@dataclass(frozen=True)
class Spooled:
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
    verdict: Verdict | None
    is_final: bool
    is_handed_in: bool

    @property
    def claim(self) -> Claim:
        """Give the lease under which it is ours."""
        return Claim(self.id, self.token)


class Spool:
    """The file. Its methods may be called from any thread; each is on the disk when it returns."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.RLock()
        self._file = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=30)
        self._file.execute("PRAGMA journal_mode=WAL")
        self._file.execute(
            "PRAGMA synchronous=FULL"
        )  # a phase must survive a power cut: it says whether a mail may have left
        self._file.execute(_TABLE)
        self._file.execute(_FACTS)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._file.close()

    def take(self, posted: Posted) -> None:
        """Note a message that was leased to us.

        One that we know already is not sent again unless its last try surely failed: its verdict is handed in anew instead.
        """
        row = (posted.token, posted.recipient, posted.message_id, posted.mime, posted.is_alert, time.time())
        with self._lock:
            known = self.find(posted.id)
            if known is None or _may_go_again(known):
                self._do("DELETE FROM messages WHERE id = ?", posted.id)
                self._do(
                    "INSERT INTO messages (token, recipient, message_id, mime, is_alert, taken_at, id) VALUES (?, ?, ?, ?, ?, ?, ?)",
                    *row,
                    posted.id,
                )
                if posted.maybe_sent and (known is None or not known.is_begun):
                    self.start(posted.id)  # as if it had been begun here: however often it comes, it does not go again
                    self.end(posted.id, _nothing_known())
            else:
                self._do("UPDATE messages SET token = ?, is_handed_in = 0 WHERE id = ?", posted.token, posted.id)

    def next_to_send(self) -> Spooled | None:
        """Give the first that was not begun: alerts before summaries."""
        return self._one("verdict IS NULL AND is_begun = 0 ORDER BY is_alert DESC, taken_at LIMIT 1")

    def next_in_doubt(self, before: float) -> Spooled | None:
        """Give one that may have left and was not looked for since `before`."""
        return self._one("is_begun = 1 AND is_final = 0 AND looked_at < ? ORDER BY looked_at LIMIT 1", before)

    def start(self, message_id: str) -> None:
        """Note that an attempt begins."""
        self._do("UPDATE messages SET is_begun = 1 WHERE id = ?", message_id)

    def note(self, message_id: str, phase: Phase) -> None:
        """Note how far the child is, before it may go on."""
        with self._lock:
            self._do("UPDATE messages SET phase = ? WHERE id = ?", phase.name, message_id)
            if phase.search_key or phase.entryid:
                keys = (phase.entryid, phase.search_key, message_id)
                self._do("UPDATE messages SET entryid = ?, search_key = ? WHERE id = ?", *keys)

    def end(self, message_id: str, verdict: Verdict, *, looked: bool = False) -> None:
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
            if verdict.outcome == Outcome.SENT:
                self.remember("sent", str(self.sent + 1))

    def to_hand_in(self) -> Sequence[Spooled]:
        """Give those with a verdict that the service does not know yet."""
        return self._many("verdict IS NOT NULL AND is_handed_in = 0 ORDER BY ended_at LIMIT 50")

    def handed_in(self, claim: Claim) -> None:
        """Note that the service took the verdict under this lease."""
        self._do(
            "UPDATE messages SET is_handed_in = 1, mime = CASE WHEN is_final THEN x'' ELSE mime END WHERE id = ? AND token = ?",
            claim.id,
            claim.token,
        )

    def holding(self) -> Sequence[Claim]:
        """Give the leases of all that is not settled."""
        return [one.claim for one in self._many("is_final = 0 OR is_handed_in = 0")]

    def drop_unbegun(self, message_id: str | None = None) -> None:
        """Forget what was not begun, so that it goes back: all, or one."""
        if message_id is None:
            self._do("DELETE FROM messages WHERE is_begun = 0 AND verdict IS NULL")
        else:
            self._do("DELETE FROM messages WHERE is_begun = 0 AND verdict IS NULL AND id = ?", message_id)

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

    def find(self, message_id: str) -> Spooled | None:
        """Give one message."""
        return self._one("id = ?", message_id)

    def all(self, most: int = 200) -> Sequence[Spooled]:
        """Give the newest, for people."""
        return self._many("1 ORDER BY taken_at DESC LIMIT ?", most)

    def _one(self, condition: str, *values: Any) -> Spooled | None:  # noqa: ANN401  (what SQLite takes)
        found = self._many(condition, *values)
        return found[0] if found else None

    def _many(self, condition: str, *values: Any) -> list[Spooled]:  # noqa: ANN401
        columns = "id, token, recipient, message_id, mime, is_alert, taken_at, is_begun, phase, entryid, search_key, verdict, is_final, is_handed_in"
        return [_spooled(row) for row in self._rows(f"SELECT {columns} FROM messages WHERE {condition}", *values)]  # noqa: S608

    def _rows(self, statement: str, *values: Any) -> list[Any]:  # noqa: ANN401
        with self._lock:
            return self._file.execute(statement, values).fetchall()

    def _do(self, statement: str, *values: Any) -> None:  # noqa: ANN401
        with self._lock:
            self._file.execute(statement, values)


def is_open(verdict: Verdict) -> bool:
    """Say whether more can be learnt of a message."""
    in_doubt = verdict.outcome == Outcome.UNKNOWN and verdict.evidence.get("looked") is not True
    return verdict.outcome == Outcome.QUEUED or in_doubt


def _may_go_again(known: Spooled) -> bool:
    """Say whether a message that comes again may be sent again: its last try ended, and surely did not send it."""
    if not known.is_begun:
        return True
    ended = known.verdict
    was_taken_back = ended is not None and ended.outcome == Outcome.STUCK and ended.evidence.get("aborted") is True
    may_have_left = ended is None or ended.outcome in (Outcome.SENT, Outcome.STUCK, Outcome.QUEUED, Outcome.UNKNOWN)
    return was_taken_back or not may_have_left


def _nothing_known() -> Verdict:
    reason = "it may have been submitted before, and this relay has no record of it: it is not sent blindly"
    return Verdict(Outcome.UNKNOWN, reason, {"looked": True})


def _spooled(row: Any) -> Spooled:  # noqa: ANN401
    told = json.loads(row[11]) if row[11] else None
    verdict = None if told is None else Verdict(told["outcome"], told["reason"], told["evidence"], told["cause"])
    return Spooled(
        row[0], row[1], row[2], row[3], row[4], bool(row[5]), row[6], bool(row[7]), row[8], row[9], row[10], verdict,
        bool(row[12]), bool(row[13]),
    )  # fmt: skip
