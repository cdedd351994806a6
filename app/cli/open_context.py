"""Opens the AppContext of a command: settings, database, secret. It must not create a database that does not exist."""

import contextlib
from collections.abc import AsyncIterator

from app.context import AppContext
from app.core.clock import now
from app.core.errors import Conflict, TocsinError, Unavailable
from app.core.secret import open_secret
from app.core.settings import Settings
from app.core.wakeups import Wakeups
from app.store.database_errors import describe_error
from app.store.engine import open_engines, share_wakeups
from app.store.migrate import needs_upgrade, revision_state
from app.store.pooler import refuse_shared_sessions
from app.store.transactions import Database


@contextlib.asynccontextmanager
async def open_context(settings: Settings) -> AsyncIterator[AppContext]:
    """Open a database with the current schema. Raises Conflict for another schema, Unavailable if it cannot be reached."""
    if not (settings.database_file is None or settings.database_file.exists()):
        raise Conflict("there is no database yet; `tocsin serve` creates it", code="no_database")
    async with contextlib.AsyncExitStack() as stack:
        database = Database(open_engines(settings))
        stack.push_async_callback(database.close)
        await refuse_shared_sessions(database.engines)
        await check_schema(database)
        context = AppContext(settings, database, Wakeups(), open_secret(settings), now)
        await stack.enter_async_context(share_wakeups(context.wakeups, database.engines))
        yield context


async def check_schema(database: Database) -> None:
    """Raise Conflict unless the migrations have run: old code on a new schema, or the reverse, would lose data without an error."""
    async with database.read() as tx:
        at, newest = await revision_state(tx)
    if needs_upgrade(at):
        where = "is empty" if at is None else f"is at revision {at}, and this version needs {newest}"
        raise Conflict(f"the database {where}; run `tocsin migrate`", code="migrations_behind")


def describe(error: TocsinError) -> str:
    """Return the text of an error; if the database cannot be reached, also the kind of failure and the setting with its address."""
    if not isinstance(error, Unavailable) or error.__cause__ is None:
        return error.detail
    return f"{error.detail} ({describe_error(error.__cause__)}; TOCSIN_DATABASE_URL, or without it TOCSIN_VAR_DIR, sets its address)"
