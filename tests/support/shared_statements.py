"""Lets all databases of a test run share the SQL of statements: each would compile them again, 60 statements in a short test.

SQLAlchemy keeps what it compiled by dialect, and each engine has a dialect of its own. Those of one kind are set up alike here.
"""

from collections.abc import Hashable
from typing import Any

from sqlalchemy import Connection, event
from sqlalchemy.engine import Engine

STATEMENTS_MOST = 5000


class SharedStatements(dict[Any, Any]):
    """A cache for the option `compiled_cache`. The first part of a key is the dialect; its class takes its place."""

    def get(self, key: tuple[Hashable, ...], default: Any = None) -> Any:
        """Return a compiled statement, or None."""
        return super().get(_of_class(key), default)

    def __setitem__(self, key: tuple[Hashable, ...], compiled: Any) -> None:
        if len(self) >= STATEMENTS_MOST:
            self.clear()
        super().__setitem__(_of_class(key), compiled)


def _of_class(key: tuple[Hashable, ...]) -> tuple[Hashable, ...]:
    return (type(key[0]), *key[1:])


def share_statements() -> None:
    """Let every connection of this process use one cache from now on."""
    cache = SharedStatements()

    def use_it(connection: Connection) -> None:
        connection.execution_options(compiled_cache=cache)

    event.listen(Engine, "engine_connect", use_it)
