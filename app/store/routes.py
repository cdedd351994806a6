"""Routes as stored. It must not decide which of them matches."""

from datetime import timedelta
from typing import Any

from sqlalchemy import Row, delete, select

from app.domain.route import Route
from app.store.json_forms import matchers_of, seconds_or_none
from app.store.readable import readable
from app.store.records import Records
from app.store.tables import groups
from app.store.tables_managed import routes
from app.store.transactions import ReadTx, WriteTx

ROUTES = Records(routes, "rte")


async def all_routes(tx: ReadTx) -> list[Route]:
    """Give every route, enabled or not, in the order in which they are asked."""
    rows = await tx.connection.execute(select(routes).order_by(routes.c.position, routes.c.id))
    return readable(rows, _route_of, "route")


def _route_of(row: Row[Any]) -> Route:
    return Route(
        id=row.id,
        name=row.name,
        recipients=tuple(row.recipients),
        customer_id=row.customer_id,
        enabled=row.enabled,
        matchers=matchers_of(row.matchers),
        group_by=tuple(row.group_by),
        group_wait=timedelta(seconds=row.group_wait_s),
        group_interval=timedelta(seconds=row.group_interval_s),
        repeat_every=seconds_or_none(row.repeat_every_s),
        send_recovery=row.send_recovery,
        goes_on=row.goes_on,
    )


async def forget_groups_of(tx: WriteTx, route_id: str) -> None:
    """Forget when the groups of a deleted route were last told."""
    await tx.connection.execute(delete(groups).where(groups.c.route_id == route_id))
