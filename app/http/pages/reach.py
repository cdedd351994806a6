"""Whether alerts reach anybody: what the page Now says where every alert only goes to files, or to nobody."""

from enum import StrEnum

from app.store.alerts import Customers
from app.store.routing import all_routes, recipients_by_id
from app.store.transactions import ReadTx


class Reach(StrEnum):
    """Where the alerts of somebody's customers go."""

    SOMEBODY = "somebody"
    FILES = "files"  # every recipient of every route has only the transport `file`
    NOBODY = "nobody"  # no enabled route, or none with a recipient


async def reach_of_alerts(tx: ReadTx, seen: Customers) -> Reach:
    """Return where alerts of these customers can go, by the enabled routes that are for one of them or for all."""
    routes = [one for one in await all_routes(tx) if one.enabled]
    own = [one for one in routes if seen is None or one.customer_id is None or one.customer_id in seen]
    found = (await recipients_by_id(tx, {recipient for route in own for recipient in route.recipients})).values()
    with_transport = [one for one in found if one.transports]
    if not with_transport:
        return Reach.NOBODY
    return Reach.FILES if all(one.is_only_filed for one in with_transport) else Reach.SOMEBODY
