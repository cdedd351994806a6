"""Opens the house for a command: settings, database, secret. It must not make a database where there is none."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from app.context import AppContext
from app.core.clock import now
from app.core.errors import Conflict, TocsinError, Unavailable
from app.core.secret import open_secret
from app.core.settings import Settings
from app.core.wakeups import Wakeups
from app.store.database_errors import describe_error
from app.store.engine import open_engines
from app.store.migrate import revision_state
from app.store.transactions import Database
from app.store.wakeups import share_wakeups


@contextlib.asynccontextmanager
async def open_context(settings: Settings) -> AsyncIterator[AppContext]:
    """Open a database whose schema is ours. Raises Conflict when it is not, Unavailable when it cannot be reached."""
    if not _is_there(settings):
        raise Conflict("there is no database yet; `tocsin serve` makes it", code="no_database")
    async with contextlib.AsyncExitStack() as stack:
        store = Database(open_engines(settings))
        stack.push_async_callback(store.close)
        await check_schema(store)
        context = AppContext(settings, store, Wakeups(), open_secret(settings), now)
        await stack.enter_async_context(share_wakeups(context.wakeups, store.engines))
        yield context


async def check_schema(store: Database) -> None:
    """Raise Conflict unless the migrations have run: old code on a new schema, or the reverse, would lose data quietly."""
    async with store.read() as tx:
        at, newest = await revision_state(tx)
    if at != newest:
        where = "is empty" if at is None else f"is at revision {at}, and this version needs {newest}"
        raise Conflict(f"the database {where}; run `tocsin migrate`", code="migrations_behind")


def in_words(error: TocsinError) -> str:
    """Say what an error says and, where the database is away, of which kind that is and which setting says where it is."""
    if not isinstance(error, Unavailable) or error.__cause__ is None:
        return error.detail
    return f"{error.detail} ({describe_error(error.__cause__)}; TOCSIN_DATABASE_URL, or TOCSIN_VAR_DIR without it, says where it is)"


def _is_there(settings: Settings) -> bool:
    return not settings.is_sqlite or Path(settings.database.split(":///", 1)[1]).exists()
