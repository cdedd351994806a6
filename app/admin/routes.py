"""What administrators do to routes. An alert that no route matches reaches nobody."""

from collections.abc import Callable, Collection

from app.admin import editing, follow_ups
from app.admin.editing import Editor
from app.admin.references import check_customer, check_recipients
from app.domain.follow_up import FollowUpKind
from app.domain.route import Route
from app.store.routing import ROUTES
from app.store.transactions import WriteTx


async def create_route(tx: WriteTx, route: Route, by: Editor) -> Route:
    """Add a route. Raises BadInput if its customer or a recipient does not exist, Conflict if the name is taken."""
    await check_customer(tx, route.customer_id)
    await check_recipients(tx, route.recipients)
    return await editing.insert(tx, ROUTES, route, by)


async def update_route(
    tx: WriteTx, route_id: str, edit: Callable[[Route], Route], by: Editor, *, versions: Collection[int] | None = None
) -> Route:
    """Change a route. Raises NotFound, StaleEdit, BadInput, Conflict."""
    before = await editing.lock_to_change(tx, ROUTES, route_id, by, versions)
    after = edit(before)
    if after == before:
        return before
    if after.customer_id != before.customer_id:
        await check_customer(tx, after.customer_id)
    if after.recipients != before.recipients:
        await check_recipients(tx, after.recipients)
    if (after.repeat_every, after.enabled) != (before.repeat_every, before.enabled):
        # A new reminder is meant for the alerts that are open now, too.
        await follow_ups.leave(tx, FollowUpKind.REPEATS, before.id, by)
    return await editing.save(tx, ROUTES, before, after, by)


async def delete_route(tx: WriteTx, route_id: str, by: Editor, *, versions: Collection[int] | None = None) -> None:
    """Delete a route. Raises NotFound, StaleEdit."""
    route = await editing.lock_to_delete(tx, ROUTES, route_id, versions)
    await follow_ups.leave(tx, FollowUpKind.GROUPS, route.id, by)
    await editing.delete(tx, ROUTES, route, by)
