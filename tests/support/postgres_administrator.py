"""Creates and drops databases over one connection that stays open: to start psql for each took a third of the time of both."""

import asyncio
import contextlib
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import asyncpg

PATIENCE_S = 60


class StatementFailed(RuntimeError):
    """The server refused a statement, or the connection to it broke."""


class Administrator:
    """A connection of the superuser `postgres` to the database of this name, over the socket in `folder`."""

    def __init__(self, folder: Path, port: int) -> None:
        self._thread = ThreadPoolExecutor(1)  # for an event loop of its own: tests run another one in their thread
        self._runner = asyncio.Runner()
        self._where = {"host": str(folder), "port": port, "user": "postgres", "database": "postgres"}
        self._connection: asyncpg.Connection | None = None

    def run(self, statement: str) -> None:
        """Run one statement that returns nothing. Raises StatementFailed."""
        try:
            self._wait_for(self._execute(statement))
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as cause:
            raise StatementFailed(f"{statement}: {cause}") from cause

    def close(self) -> None:
        """Close the connection, also if the server is gone."""
        self._wait_for(self._disconnect())
        self._thread.submit(self._runner.close).result()
        self._thread.shutdown()

    def _wait_for(self, work: Coroutine[Any, Any, None]) -> None:
        self._thread.submit(self._runner.run, work).result()

    async def _execute(self, statement: str) -> None:
        if self._connection is not None:
            # The server ends all connections if one of its processes was killed, for want of memory for example.
            with contextlib.suppress(asyncpg.ConnectionDoesNotExistError, asyncpg.InterfaceError, ConnectionError):
                await self._connection.execute(statement, timeout=PATIENCE_S)
                return
        self._connection = await asyncpg.connect(**self._where, timeout=PATIENCE_S)
        await self._connection.execute(statement, timeout=PATIENCE_S)

    async def _disconnect(self) -> None:
        if self._connection is not None:
            with contextlib.suppress(asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
                await self._connection.close(timeout=1)
