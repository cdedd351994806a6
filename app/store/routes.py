"""Routes in the database. Which of them matches is decided elsewhere."""

from sqlalchemy import select

from app.domain.route import Route
from app.store.prepared import Prepared
from app.store.repository import Page, Repository, Window, equals
from app.store.row_mapping import readable_values
from app.store.tables_managed import routes
from app.store.transactions import ReadTx

ROUTES = Repository(routes, Route, noun="route", prefix="rte")


_ALL = Prepared(lambda _: select(*ROUTES.mapping.columns).order_by(routes.c.position, routes.c.id))


async def page_routes(
    tx: ReadTx,
    window: Window,
    *,
    customer_id: str | None = None,
    name: str | None = None,
    enabled: bool | None = None,
) -> Page[Route]:
    """Return routes in the order of their ids, filtered."""
    return await ROUTES.page(tx, equals(routes, customer_id=customer_id, name=name, enabled=enabled), window)


async def all_routes(tx: ReadTx) -> list[Route]:
    """Return every route, enabled or not, in the order in which they are tried."""
    return readable_values(await tx.fetch(_ALL), ROUTES.mapping, "route")
