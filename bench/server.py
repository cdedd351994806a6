"""Runs `tocsin serve`, with what a bench needs put in from outside: `python -m bench.server VARIANT`. The product has no such switch.

Variants: `service` (worker off, also on SQLite), `with_worker`, `no_database`, whose commit is an immediate answer, and `counted`,
`with_worker` that notes each statement on SQLite (bench/statements.py).
"""

import asyncio
import os
import sqlite3
import sys
from functools import partial

from app.cli import serve
from app.core.settings import Settings
from app.http.app import HttpApp
from app.intake import accept
from app.intake.batch import Batch
from app.intake.budgets import SenderKey
from app.intake.commit import GroupCommit
from app.intake.enrol import AskedAgent
from app.main import Work, create_app
from app.store.intake import NewEvent


class AnsweredAtOnce(GroupCommit):
    """Reports "stored" without storing: all that is left is HTTP, keys, reading and shaping. It exists only here."""

    async def store(
        self,
        events: list[NewEvent],
        unknown: dict[int, AskedAgent],
        size: int,
        key: SenderKey | None = None,
        *,
        has_place: bool = False,  # noqa: ARG002  (as GroupCommit is called)
    ) -> Batch:
        """Answer."""
        if unknown:
            self._agents.remember({agent[:2]: "agt_bench" for agent in unknown.values()})
        return Batch(events, unknown, size, asyncio.get_running_loop().create_future(), key)


def _without_worker(settings: Settings, *, work: Work | None) -> HttpApp:  # noqa: ARG001  (as serve calls it)
    return create_app(settings)


class CountedConnection(sqlite3.Connection):
    """Adds a byte to a file for each statement, whichever thread or process runs it. A row of `executemany` is one; a trigger's are none."""

    def __init__(self, *words: object, **named: object) -> None:
        super().__init__(*words, **named)  # type: ignore[arg-type]
        file = os.open(os.environ["BENCH_STATEMENTS"], os.O_WRONLY | os.O_APPEND)
        self.set_trace_callback(lambda sql: None if sql.startswith("--") else _note(file))


def _note(file: int) -> None:
    os.write(file, b".")


if __name__ == "__main__":
    _variant = sys.argv[1]
    if _variant == "no_database":
        accept.GroupCommit = AnsweredAtOnce  # type: ignore[attr-defined]
    if _variant == "counted":
        sqlite3.connect = partial(sqlite3.connect, factory=CountedConnection)  # type: ignore[assignment]
    if _variant not in ("with_worker", "counted"):
        serve.create_app = _without_worker  # type: ignore[assignment, attr-defined]
    serve.serve()
