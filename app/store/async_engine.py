"""SQLAlchemy's asynchronous engine without its ORM, which we do not use: to import it takes 6 MiB and a twentieth of a second of each start.

`sqlalchemy.ext.asyncio` imports its sessions, and they import the ORM. Here it finds an empty module in their place.
"""

from app.core.hidden_modules import emptied

with emptied("sqlalchemy.ext.asyncio.session", "sqlalchemy.ext.asyncio.scoping"):
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

__all__ = ["AsyncConnection", "AsyncEngine", "create_async_engine"]
