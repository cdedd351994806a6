"""Turns alerts that opened, repeated or closed into notices: mute, route, group. Each alert leaves a notice with its reason."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from app.core.ids import new_id
from app.decide.group import critical_full_at, critical_group_of, due_at, group_of, plausible_time
from app.decide.mute import mute_reason, muting_silence
from app.decide.route import matching_routes
from app.domain.alert import Alert
from app.domain.bounced_address import JOB_PREFIX, unreachable
from app.domain.dedupe import notice_key
from app.domain.event import Severity
from app.domain.message import KEEPS_STATES
from app.domain.notice import URGENCY_ALERT, URGENCY_CRITICAL, URGENCY_RECOVERY, Notice, NoticeKind, NoticeState
from app.domain.route import Route, Silence
from app.domain.service_event import AGENT
from app.store import notices
from app.store.routing import all_recipients, current_routing, recipients_by_id
from app.store.transactions import WriteTx

NOBODY = "nobody"
_Group = tuple[str, str]  # route id, group key


@dataclass(frozen=True, slots=True)
class NoticeRequest:
    """One alert that may have to be reported.

    `occasion` distinguishes one repeat from the next, `hold` delays the notices for a while.
    """

    alert: Alert
    what: NoticeKind
    reason: str
    occasion: str = ""
    hold: timedelta = timedelta(0)
    only_route: str | None = None  # a repeat goes where its first notice went


@dataclass(slots=True)
class RoutingContext:
    """What deciding who is notified needs, loaded once a transaction.

    `group_times`: when the newest message of each group was or will be due; it grows with the notices that are made.
    """

    now: datetime
    routes: Sequence[Route]
    silences: Sequence[Silence]
    group_times: dict[_Group, datetime] = field(default_factory=dict)
    unreachable: frozenset[str] = frozenset()  # recipients all of whose addresses fail


async def load_routing(tx: WriteTx, now: datetime) -> RoutingContext:
    """Load the routes and the silences in force."""
    bounced, routes, silences = await current_routing(tx, now)
    lost = unreachable(await all_recipients(tx), bounced) if bounced else frozenset()
    return RoutingContext(now, routes, silences, unreachable=lost)


async def notify(tx: WriteTx, routing: RoutingContext, requests: Sequence[NoticeRequest]) -> list[Notice]:
    """Make and store the notices of these alerts; every alert gets at least one, which says why where nobody is notified."""
    chosen = [(request, *_choose_routes(routing, request)) for request in requests]
    await _load_group_times(tx, routing, {group for request, routes, _ in chosen for group in _groups(request, routes)})
    before = dict(routing.group_times)
    made: list[Notice] = []
    for request, routes, muted in chosen:
        if muted is not None:
            made.append(_unsent_notice(routing, request, NoticeState.MUTED, mute_reason(muted), muted.ends_at))
        elif not any(route.recipients for route in routes):
            why = "no route matches" if not routes else f"route '{routes[0].name}' has no recipient"
            made.append(_unsent_notice(routing, request, NoticeState.SUPPRESSED, why, routing.now))
        for route in routes:
            made += _notices_by_route(routing, request, route)
    changed = {group: at for group, at in routing.group_times.items() if before.get(group) != at}
    await notices.save_group_times(tx, changed)
    await notices.insert_notices(tx, made)
    await notices.count_repeats_from(tx, made)
    return made


def _groups(request: NoticeRequest, routes: Sequence[Route]) -> Iterator[_Group]:
    """Yield the groups whose times decide when the notices of an alert are due."""
    for route in routes:
        yield route.id, group_of(route, request.alert.facts)
        if request.alert.severity is Severity.CRITICAL:
            yield route.id, critical_group_of(route, request.alert.customer_id, request.alert.agent_id)


async def _load_group_times(tx: WriteTx, routing: RoutingContext, groups: set[_Group]) -> None:
    """Load the times of these groups; those that this transaction has changed stay."""
    routing.group_times = await notices.group_times(tx, groups) | routing.group_times


def _choose_routes(routing: RoutingContext, request: NoticeRequest) -> tuple[list[Route], Silence | None]:
    alert = request.alert
    muted = muting_silence(alert.customer_id, alert.facts, routing.silences)
    if muted is not None:
        return [], muted
    if request.only_route is not None:
        return [route for route in routing.routes if route.id == request.only_route], None
    routes = matching_routes(alert.customer_id, alert.facts, routing.routes)
    return routes + _routes_to_others(routing, alert, routes), None


def _routes_to_others(routing: RoutingContext, alert: Alert, chosen: Sequence[Route]) -> list[Route]:
    """Return further routes for an alert about a recipient's address if only recipients who cannot be reached would be notified of it."""
    is_about_address = alert.facts.get("agent") == AGENT and alert.facts.get("job", "").startswith(JOB_PREFIX)
    if not is_about_address or any(set(route.recipients) - routing.unreachable for route in chosen):
        return []
    return [
        route
        for route in routing.routes
        if route.enabled
        and route.customer_id in (None, alert.customer_id)
        and route not in chosen
        and set(route.recipients) - routing.unreachable
    ]


def _notices_by_route(routing: RoutingContext, request: NoticeRequest, route: Route) -> list[Notice]:
    alert = request.alert
    group = group_of(route, alert.facts)
    is_critical = alert.severity is Severity.CRITICAL
    newest_at = plausible_time(route, routing.group_times.get((route.id, group)), routing.now)
    is_at_once = is_critical and _takes_allowance(routing, alert, route)
    due = routing.now if is_at_once else due_at(route, newest_at, routing.now)
    if request.hold:
        due = max(due, routing.now + request.hold)  # the rest of its group does not wait with it
    else:
        routing.group_times[route.id, group] = max(due, newest_at or due)
    return [
        Notice(
            id=new_id("ntc"),
            what=request.what,
            state=NoticeState.WAITING,
            reason=f"{request.reason}; route '{route.name}'; not silenced",
            due_at=due,
            group_key=group,
            urgency=URGENCY_CRITICAL if is_critical else URGENCY_ALERT,
            dedupe=notice_key(alert.id, request.what, route.id, recipient_id, request.occasion),
            created_at=routing.now,
            customer_id=alert.customer_id,
            recipient_id=recipient_id,
            route_id=route.id,
            alert_id=alert.id,
            repeat_at=None if route.repeat_every is None else due + route.repeat_every,
        )
        for recipient_id in dict.fromkeys(route.recipients)
    ]


def _takes_allowance(routing: RoutingContext, alert: Alert, route: Route) -> bool:
    """Return whether a critical alert is sent at once, and count it for its agent."""
    group = (route.id, critical_group_of(route, alert.customer_id, alert.agent_id))
    full_at = plausible_time(route, routing.group_times.get(group), routing.now)
    is_at_once, routing.group_times[group] = critical_full_at(route, full_at, routing.now)
    return is_at_once


def _unsent_notice(
    routing: RoutingContext, request: NoticeRequest, state: NoticeState, reason: str, due: datetime
) -> Notice:
    """Return the notice that records why nobody is notified, for the administrator who asks."""
    alert = request.alert
    return Notice(
        id=new_id("ntc"),
        what=request.what,
        state=state,
        reason=f"{request.reason}; {reason}",
        due_at=due,
        group_key="",
        urgency=URGENCY_ALERT,
        dedupe=notice_key(alert.id, request.what, NOBODY, state, request.occasion + due.isoformat()),
        created_at=routing.now,
        customer_id=alert.customer_id,
        route_id=request.only_route,
        alert_id=alert.id,
    )


async def notify_closed(
    tx: WriteTx,
    routing: RoutingContext,
    closed: Sequence[tuple[Alert, str]],
    then: Sequence[NoticeRequest] = (),
) -> list[Notice]:
    """Report closed alerts, each with the reason, to those who were notified of them.

    Notices that still wait are suppressed with a reason that says so: who was not notified of the alert needs no recovery. `then`: what
    the same transaction reports after this. The groups of all of it are locked at once and in order, so that two workers cannot deadlock.
    """
    if not closed:
        return []
    await notices.suppress_waiting(
        tx, {alert.id: f"closed before anybody was notified: {why}" for alert, why in closed}
    )
    worded = await notices.worded_for(tx, [alert.id for alert, _ in closed])
    routes = {route.id: route for route in routing.routes}
    keepers = await _state_keepers(tx, worded, routes)
    made: list[Notice] = []
    for alert, why in closed:
        sent = {(notice.route_id, notice.recipient_id): notice for notice in worded.get(alert.id, [])}
        made += [
            _recovery(routing, alert, why, notice, routes.get(notice.route_id or ""), keepers)
            for notice in sent.values()
        ]
    groups = {(notice.route_id, notice.group_key) for notice in made if notice.route_id}
    if groups:
        groups |= {group for one in then for group in _groups(one, _choose_routes(routing, one)[0])}
    await _load_group_times(tx, routing, groups)
    changed: dict[_Group, datetime] = {}
    for place, notice in enumerate(made):
        if notice.route_id is None or notice.state is not NoticeState.WAITING:
            continue
        group = (notice.route_id, notice.group_key)
        due = notice.due_at
        if (route := routes.get(notice.route_id)) is not None:
            due = due_at(route, plausible_time(route, routing.group_times.get(group), routing.now), routing.now)
            routing.group_times[group] = due
            made[place] = replace(notice, due_at=due)
        changed[group] = due
    await notices.save_group_times(tx, changed)
    await notices.insert_notices(tx, made)
    return made


async def _state_keepers(
    tx: WriteTx, worded: Mapping[str, Sequence[Notice]], routes: Mapping[str, Route]
) -> frozenset[str]:
    """Return the recipients that get a recovery although their route sends none: a program there would show the alert for ever."""
    without = {
        notice.recipient_id
        for sent in worded.values()
        for notice in sent
        if notice.recipient_id is not None
        and (route := routes.get(notice.route_id or "")) is not None
        and not (route.enabled and route.send_recovery)
    }
    found = await recipients_by_id(tx, without)
    return frozenset(one.id for one in found.values() if any(to.transport in KEEPS_STATES for to in one.transports))


def _recovery(
    routing: RoutingContext,
    alert: Alert,
    why: str,
    sent: Notice,
    route: Route | None,
    keepers: Collection[str],
) -> Notice:
    # Where the route was deleted since, those who were notified of the failure are still notified of its end.
    is_sent = route is None or (route.enabled and route.send_recovery) or sent.recipient_id in keepers
    by = f"route '{route.name}'" if route else "a route that was deleted since"
    reason = f"{why}; was reported {sent.due_at:%Y-%m-%d %H:%M} UTC by {by}"
    return Notice(
        id=new_id("ntc"),
        what=NoticeKind.RECOVERED,
        state=NoticeState.WAITING if is_sent else NoticeState.SUPPRESSED,
        reason=reason if is_sent else reason + ", which sends no recoveries",
        due_at=routing.now,
        group_key=sent.group_key,
        urgency=URGENCY_RECOVERY,
        dedupe=notice_key(alert.id, NoticeKind.RECOVERED, sent.route_id or "", sent.recipient_id or "", ""),
        created_at=routing.now,
        customer_id=alert.customer_id,
        recipient_id=sent.recipient_id,
        route_id=sent.route_id,
        alert_id=alert.id,
    )
