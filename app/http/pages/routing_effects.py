"""What a route, rule, silence or summary would do, before it is saved: counted on the jobs and alerts that there are."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from app.compose import alert_mail
from app.compose.example_alert import example_view
from app.compose.render import RenderedMail
from app.context import AppContext
from app.decide.mute import muting_silence
from app.decide.route import matching_routes
from app.domain.alert import Rule
from app.domain.answer_link import PATH
from app.domain.calendar import next_time
from app.domain.matcher import Matcher, all_match
from app.domain.notice import NoticeKind
from app.domain.problem import NamedAlert
from app.domain.route import Route, Silence
from app.domain.summary_schedule import SummarySchedule
from app.http.api.transports import previewed_notice
from app.http.pages.overview import facts_of
from app.store.alerts import read_newest_alerts, read_open_alerts
from app.store.jobs import count_matching_jobs
from app.store.messages import read_alert_views
from app.store.routing import all_routes, all_rules
from app.store.transactions import ReadTx

LOOKED_BACK = timedelta(days=30)
_ALERTS_MOST, _EXAMPLES = 2_000, 5
_OF_ALERTS = ("kind", "severity", "message")  # fields that jobs do not have


@dataclass(frozen=True, slots=True)
class Effect:
    """What would happen. `jobs`: how many match; `alerts`: of the last 30 days, or open now, which it concerns; None: not asked.

    `shadowed`: how many alerts match, but an earlier route or rule takes them.
    """

    jobs: int
    alerts: int | None = None
    shadowed: int = 0
    examples: Sequence[NamedAlert] = ()
    next_at: datetime | None = None
    is_bounded: bool = False


async def effect_of(tx: ReadTx, context: AppContext, thing: object) -> Effect | None:
    """Return what saving a thing would do; None for one whose effect is only where it is used."""
    now = context.clock()
    match thing:
        case Route():
            return await _of_route(tx, thing, now)
        case Rule():
            return await _of_rule(tx, thing, now)
        case Silence():
            found = [
                one
                for one in await read_open_alerts(tx, None)
                if muting_silence(one.alert.customer_id, facts_of(one), [thing])
            ]
            return Effect(await _jobs(tx, thing.customer_id, thing.matchers), len(found), examples=found[:_EXAMPLES])
        case SummarySchedule():
            at = next_time(thing.recurrence, now) if thing.enabled else None
            return Effect(await _jobs(tx, thing.customer_id, thing.matchers), next_at=at)
        case _:
            return None


@dataclass(frozen=True, slots=True)
class PreviewedMail:
    """A mail as a route would send it. `is_example`: about an alert that is made up, as none of the last 30 days would have gone there."""

    mail: RenderedMail
    is_example: bool


async def alert_mail_of(tx: ReadTx, context: AppContext, thing: object, effect: Effect | None) -> PreviewedMail | None:
    """Return the mail about the newest alert that a route would send, or about a made-up one; None for other things.

    Its links to answer have no signature: whoever sees it could act in the name of a recipient.
    """
    if not isinstance(thing, Route) or effect is None:
        return None
    base_url = context.settings.public_url
    if effect.examples:
        alert = effect.examples[0].alert
        notice = previewed_notice(alert, NoticeKind.OPENED, context.clock(), alert.reason)
        views = list((await read_alert_views(tx, [notice])).values())
    else:
        views = [example_view(context.clock())]
    mail = alert_mail.render(views, base_url=base_url, answer=lambda _: f"{base_url}{PATH}hidden")
    return PreviewedMail(mail, is_example=not effect.examples)


async def _of_route(tx: ReadTx, route: Route, now: datetime) -> Effect:
    others = [one for one in await all_routes(tx) if one.id != route.id]
    # An equal position goes to the older one; a new route has no id yet, and is the newest.
    ordered = sorted([*others, replace(route, id=route.id or "~")], key=lambda one: (one.position, one.id))
    recent, is_bounded = await _recent(tx, now)
    taken = [
        one
        for one in recent
        if any(own.id == (route.id or "~") for own in matching_routes(one.alert.customer_id, facts_of(one), ordered))
    ]
    matched = sum(
        route.customer_id in (None, one.alert.customer_id) and all_match(route.matchers, facts_of(one))
        for one in recent
    )
    jobs = await _jobs(tx, route.customer_id, route.matchers)
    return Effect(jobs, len(taken), matched - len(taken), taken[:_EXAMPLES], is_bounded=is_bounded)


async def _of_rule(tx: ReadTx, rule: Rule, now: datetime) -> Effect:
    before = [
        one
        for one in await all_rules(tx)
        if one.id != rule.id and one.kind is rule.kind and (one.position, one.id) < (rule.position, rule.id or "~")
    ]
    recent, is_bounded = await _recent(tx, now)
    of_kind = [one for one in recent if one.alert.kind is rule.kind and _fits(rule, one)]
    taken = [one for one in of_kind if not any(_fits(other, one) for other in before)]
    jobs = await _jobs(tx, rule.customer_id, rule.matchers)
    return Effect(jobs, len(taken), len(of_kind) - len(taken), taken[:_EXAMPLES], is_bounded=is_bounded)


def _fits(rule: Rule, one: NamedAlert) -> bool:
    return rule.customer_id in (None, one.alert.customer_id) and all_match(rule.matchers, facts_of(one))


async def _recent(tx: ReadTx, now: datetime) -> tuple[list[NamedAlert], bool]:
    newest = await read_newest_alerts(tx, _ALERTS_MOST)
    recent = [one for one in newest if one.alert.opened_at >= now - LOOKED_BACK]
    return recent, len(recent) == _ALERTS_MOST


async def _jobs(tx: ReadTx, customer_id: str | None, matchers: Sequence[Matcher]) -> int:
    of_jobs = [matcher for matcher in matchers if matcher.field not in _OF_ALERTS]
    return await count_matching_jobs(tx, customer_id, of_jobs)
