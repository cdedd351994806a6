"""Turns alerts that opened or closed into notices: mute, route, group. Every way out leaves a notice that says why."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from app.core.ids import new_id
from app.decide.group import believable, due_at, key_of
from app.decide.mute import silence_over, why_muted
from app.decide.route import routes_for
from app.domain.alert import Alert
from app.domain.dedupe import notice_key
from app.domain.event import Severity
from app.domain.notice import URGENCY_ALERT, URGENCY_CRITICAL, URGENCY_RECOVERY, Notice, NoticeKind, NoticeState
from app.domain.route import Route, Silence
from app.store import notices as store
from app.store.repeats import count_from
from app.store.routes import all_routes
from app.store.silences import current_silences
from app.store.transactions import WriteTx

NOBODY = "nobody"


@dataclass(frozen=True, slots=True)
class Telling:
    """One alert that may have to be told: `turn` tells one repeat from the next, `hold` keeps it back for a while."""

    alert: Alert
    what: NoticeKind
    reason: str
    turn: str = ""
    hold: timedelta = timedelta(0)
    only_route: str | None = None  # a repeat goes where its first notice went


@dataclass(slots=True)
class Desk:
    """What deciding who is told needs, loaded once a transaction."""

    tx: WriteTx
    now: datetime
    routes: Sequence[Route]
    silences: Sequence[Silence]
    told: dict[tuple[str, str], datetime] = field(default_factory=dict)


async def open_desk(tx: WriteTx, now: datetime) -> Desk:
    """Load routes and the silences in force."""
    return Desk(tx, now, await all_routes(tx), await current_silences(tx, now))


async def _know_groups(desk: Desk, keys: set[tuple[str, str]]) -> None:
    """Load when these groups are told, but for those that this transaction has moved on already."""
    desk.told = await store.groups_told(desk.tx, keys) | desk.told


async def tell(desk: Desk, tellings: Sequence[Telling]) -> list[Notice]:
    """Make and store the notices of these alerts; every alert gets at least one, told or not."""
    chosen = [(telling, *_routes_of(desk, telling)) for telling in tellings]
    keys = {(route.id, key_of(route, telling.alert.facts)) for telling, routes, _ in chosen for route in routes}
    await _know_groups(desk, keys)
    before = dict(desk.told)
    made: list[Notice] = []
    for telling, routes, muted in chosen:
        if muted is not None:
            made.append(_untold(desk, telling, NoticeState.MUTED, why_muted(muted), muted.ends_at))
        elif not any(route.recipients for route in routes):
            why = "no route matches" if not routes else f"route '{routes[0].name}' has no recipient"
            made.append(_untold(desk, telling, NoticeState.SUPPRESSED, why, desk.now))
        for route in routes:
            made += _by_route(desk, telling, route)
    await store.save_groups(desk.tx, {key: at for key, at in desk.told.items() if before.get(key) != at})
    await store.insert_notices(desk.tx, made)
    await count_from(desk.tx, made)
    return made


def _routes_of(desk: Desk, telling: Telling) -> tuple[list[Route], Silence | None]:
    muted = silence_over(telling.alert.customer_id, telling.alert.facts, desk.silences)
    if muted is not None:
        return [], muted
    if telling.only_route is not None:
        return [route for route in desk.routes if route.id == telling.only_route], None
    return routes_for(telling.alert.customer_id, telling.alert.facts, desk.routes), None


def _by_route(desk: Desk, telling: Telling, route: Route) -> list[Notice]:
    key = key_of(route, telling.alert.facts)
    critical = telling.alert.severity is Severity.CRITICAL
    told_at = believable(route, desk.told.get((route.id, key)), desk.now)
    due = desk.now if critical else due_at(route, told_at, desk.now)
    if telling.hold:
        due = max(due, desk.now + telling.hold)  # its group does not wait with it
    else:
        desk.told[(route.id, key)] = max(due, told_at or due)
    reason = f"{telling.reason}; route '{route.name}'; not silenced"
    return [
        _notice(desk, telling, recipient_id=recipient, route=route, key=key, due=due, reason=reason)
        for recipient in dict.fromkeys(route.recipients)
    ]


def _notice(
    desk: Desk, telling: Telling, *, recipient_id: str, route: Route, key: str, due: datetime, reason: str
) -> Notice:
    alert = telling.alert
    return Notice(
        id=new_id("ntc"),
        what=telling.what,
        state=NoticeState.WAITING,
        reason=reason,
        due_at=due,
        group_key=key,
        urgency=URGENCY_CRITICAL if alert.severity is Severity.CRITICAL else URGENCY_ALERT,
        dedupe=notice_key(alert.id, telling.what, route.id, recipient_id, telling.turn),
        created_at=desk.now,
        customer_id=alert.customer_id,
        recipient_id=recipient_id,
        route_id=route.id,
        alert_id=alert.id,
        repeat_at=None if route.repeat_every is None else due + route.repeat_every,
    )


def _untold(desk: Desk, telling: Telling, state: NoticeState, reason: str, due: datetime) -> Notice:
    """Keep the decision not to tell, for the admin who asks why nobody was."""
    alert = telling.alert
    return Notice(
        id=new_id("ntc"),
        what=telling.what,
        state=state,
        reason=f"{telling.reason}; {reason}",
        due_at=due,
        group_key="",
        urgency=URGENCY_ALERT,
        dedupe=notice_key(alert.id, telling.what, NOBODY, state, telling.turn + due.isoformat()),
        created_at=desk.now,
        customer_id=alert.customer_id,
        route_id=telling.only_route,
        alert_id=alert.id,
    )


async def tell_closed(desk: Desk, closed: Sequence[tuple[Alert, str]]) -> list[Notice]:
    """Tell those who heard that an alert opened that it closed; who did not hear of it, hears nothing, and it says so."""
    unheard = {alert.id: f"closed before anybody was told: {why}" for alert, why in closed}
    await store.suppress_waiting(desk.tx, unheard)
    told = await store.worded_for(desk.tx, unheard)
    routes = {route.id: route for route in desk.routes}
    made: list[Notice] = []
    for alert, why in closed:
        heard = {(n.route_id, n.recipient_id): n for n in told.get(alert.id, [])}.values()
        made += [_recovery(desk, alert, why, notice, routes.get(notice.route_id or "")) for notice in heard]
    keys = {(n.route_id, n.group_key) for n in made if n.route_id}
    await _know_groups(desk, keys)
    made = [_with_due(desk, notice, routes) for notice in made]
    await store.save_groups(
        desk.tx, {(n.route_id, n.group_key): n.due_at for n in made if n.route_id and n.state is NoticeState.WAITING}
    )
    await store.insert_notices(desk.tx, made)
    return made


def _recovery(desk: Desk, alert: Alert, why: str, told: Notice, route: Route | None) -> Notice:
    # Where the route was deleted since, who heard of the failure still hears of its end.
    sends = route is None or (route.enabled and route.send_recovery)
    by = f"route '{route.name}'" if route else "a route that was deleted since"
    reason = f"{why}; was told {told.due_at:%Y-%m-%d %H:%M} UTC by {by}"
    return Notice(
        id=new_id("ntc"),
        what=NoticeKind.RECOVERED,
        state=NoticeState.WAITING if sends else NoticeState.SUPPRESSED,
        reason=reason if sends else reason + ", which sends no recoveries",
        due_at=desk.now,
        group_key=told.group_key,
        urgency=URGENCY_RECOVERY,
        dedupe=notice_key(alert.id, NoticeKind.RECOVERED, told.route_id or "", told.recipient_id or "", ""),
        created_at=desk.now,
        customer_id=alert.customer_id,
        recipient_id=told.recipient_id,
        route_id=told.route_id,
        alert_id=alert.id,
    )


def _with_due(desk: Desk, notice: Notice, routes: Mapping[str, Route]) -> Notice:
    route = routes.get(notice.route_id or "")
    if route is None or notice.state is not NoticeState.WAITING:
        return notice
    key = (route.id, notice.group_key)
    due = due_at(route, believable(route, desk.told.get(key), desk.now), desk.now)
    desk.told[key] = due
    return replace(notice, due_at=due)
