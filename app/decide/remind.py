"""Judges again what was put off: alerts whose silence has ended, and alerts that are still open after `repeat_every`."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from app.decide.facts import facts_of
from app.decide.repeat import Hold, tell_again
from app.decide.tell import Telling, open_desk, tell
from app.domain.alert import Alert
from app.domain.notice import Notice, NoticeKind
from app.store import agent_fold, alerts, job_fold, notices
from app.store.customers import customers_by_id
from app.store.transactions import WriteTx

BATCH = 500


async def judge_muted(tx: WriteTx, now: datetime) -> int:
    """Judge alerts anew whose mute has ended; give how many notices came of it."""
    due = await notices.muted_due(tx, now, BATCH)
    if not due:
        return 0
    found = await _with_facts(tx, {notice.alert_id for notice in due if notice.alert_id})
    await notices.settle_muted(tx, {notice.id: notice.reason + "; judged again when that ended" for notice in due})
    return len(await tell(await open_desk(tx, now), _after_silence(due, found)))


def _after_silence(due: Sequence[Notice], found: Mapping[str, Alert]) -> list[Telling]:
    """Tell an alert once, though it was muted as it opened and again as it became critical or was to be repeated."""
    tellings: dict[tuple[str, str | None], Telling] = {}
    for notice in sorted(due, key=lambda one: (one.route_id is not None, one.what is not NoticeKind.OPENED)):
        alert = found.get(notice.alert_id or "")
        if alert is None or alert.closed_at is not None or (alert.id, None) in tellings:
            continue
        reason = alert.reason + "; its silence has ended"
        telling = Telling(alert, notice.what, reason, turn=notice.id, only_route=notice.route_id)
        tellings.setdefault((alert.id, notice.route_id), telling)
    return list(tellings.values())


async def tell_repeats(tx: WriteTx, now: datetime) -> int:
    """Tell alerts again that are still open; give how many notices came of it."""
    due = await notices.repeats_due(tx, now, BATCH)
    if not due:
        return 0
    found = await _with_facts(tx, {notice.alert_id for notice in due if notice.alert_id})
    desk = await open_desk(tx, now)
    routes = {route.id: route for route in desk.routes}
    tellings: dict[tuple[str, str], Telling] = {}
    for notice in due:
        alert = found.get(notice.alert_id or "")
        if alert is None or notice.route_id is None or notice.repeat_at is None:
            continue
        verdict = tell_again(alert, routes.get(notice.route_id), now)
        if isinstance(verdict, Hold):
            continue
        turn = notice.repeat_at.isoformat()
        tellings[alert.id, notice.route_id] = Telling(
            alert, NoticeKind.REPEATED, verdict.reason, turn=turn, only_route=notice.route_id
        )
    await notices.clear_repeat(tx, [notice.id for notice in due])
    return len(await tell(desk, list(tellings.values())))


async def _with_facts(tx: WriteTx, alert_ids: Iterable[str]) -> Mapping[str, Alert]:
    found = await alerts.lock_alerts(tx, alert_ids)
    agents = await agent_fold.agents_by_id(tx, {alert.agent_id for alert in found.values()})
    customers = await customers_by_id(tx, {alert.customer_id for alert in found.values()})
    jobs = await job_fold.jobs_by_id(tx, {alert.job_id for alert in found.values() if alert.job_id})
    return {
        alert.id: replace(
            alert,
            facts=facts_of(
                customers[alert.customer_id],
                agents[alert.agent_id],
                jobs.get(alert.job_id or ""),
                alert.kind,
                alert.severity,
                alert.message,
            ),
        )
        for alert in found.values()
    }
