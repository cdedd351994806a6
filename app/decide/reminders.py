"""Reports alerts again: those whose silence has ended, and those that are still open after `repeat_every`."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from app.context import AppContext
from app.decide.notify import NoticeRequest, load_routing, notify
from app.decide.repeat import Wait, decide_repeat
from app.domain.alert import Alert, alert_facts
from app.domain.notice import Notice, NoticeKind
from app.store import agents, alerts, jobs, notices
from app.store.customers import customers_by_id
from app.store.transactions import WriteTx

BATCH = 50  # in one transaction, so that others can write in between


async def tick(context: AppContext) -> bool:
    """Report what fell due of each kind, a batch in one transaction. True when there may be more at once."""
    now, more = context.clock(), False
    async with context.database.read() as tx:  # nearly always nothing is: no reason to keep others from writing
        is_due = await notices.reminders_due(tx, now)
    for report in (report_after_silence, report_repeats) if is_due else ():
        async with context.database.write() as tx:
            found = await report(tx, now)
            if found:
                tx.after_commit(lambda: context.wakeups.wake("notices"))
        more |= found == BATCH
    return more


async def report_after_silence(tx: WriteTx, now: datetime) -> int:
    """Report alerts whose silence has ended; return how many muted notices that were."""
    due = await notices.muted_due(tx, now, BATCH)
    if not due:
        return 0
    found = await _with_facts(tx, due, now)
    judged = [notice for notice in due if notice.alert_id is None or notice.alert_id in found]
    await notices.settle_muted(tx, {notice.id: notice.reason + "; judged again when that ended" for notice in judged})
    # One notice for each alert, though it may have been muted as it opened, as it became critical and as it was repeated.
    requests: dict[tuple[str, str | None], NoticeRequest] = {}
    for notice in sorted(judged, key=lambda muted: (muted.route_id is not None, muted.what is not NoticeKind.OPENED)):
        alert = found.get(notice.alert_id or "")
        if alert is None or alert.closed_at is not None or (alert.id, None) in requests:
            continue
        reason = alert.reason + "; its silence has ended"
        request = NoticeRequest(alert, notice.what, reason, occasion=notice.id, only_route=notice.route_id)
        requests.setdefault((alert.id, notice.route_id), request)
    await notify(tx, await load_routing(tx, now), list(requests.values()))
    return len(due)


async def report_repeats(tx: WriteTx, now: datetime) -> int:
    """Report alerts again that are still open; return how many repeats were due."""
    due = await notices.repeats_due(tx, now, BATCH)
    if not due:
        return 0
    found = await _with_facts(tx, due, now)
    judged = [notice for notice in due if notice.alert_id is None or notice.alert_id in found]
    routing = await load_routing(tx, now)
    routes = {route.id: route for route in routing.routes}
    requests: dict[tuple[str, str], NoticeRequest] = {}
    for notice in judged:
        alert = found.get(notice.alert_id or "")
        if alert is None or notice.route_id is None or notice.repeat_at is None:
            continue
        decision = decide_repeat(alert, routes.get(notice.route_id), now)
        if isinstance(decision, Wait):
            continue
        requests[alert.id, notice.route_id] = NoticeRequest(
            alert,
            NoticeKind.REPEATED,
            decision.reason,
            occasion=notice.repeat_at.isoformat(),
            only_route=notice.route_id,
        )
    await notices.clear_repeat(tx, [notice.id for notice in judged])
    await notify(tx, routing, list(requests.values()))
    return len(due)


async def _with_facts(tx: WriteTx, due: Sequence[Notice], now: datetime) -> Mapping[str, Alert]:
    """Return the alerts of these notices by id. Where one, its agent or its customer cannot be read, its notices are put off."""
    found = await alerts.lock_alerts(tx, {notice.alert_id for notice in due if notice.alert_id})
    by_agent = await agents.agents_by_id(tx, {alert.agent_id for alert in found.values()})
    customers = await customers_by_id(tx, {alert.customer_id for alert in found.values()})
    by_job = await jobs.jobs_by_id(tx, {alert.job_id for alert in found.values() if alert.job_id})
    known: dict[str, Alert] = {}
    for alert in found.values():
        customer, agent = customers.get(alert.customer_id), by_agent.get(alert.agent_id)
        if agent is not None and customer is not None:
            job = by_job.get(alert.job_id or "")
            facts = alert_facts(customer, agent, job, alert.kind, alert.severity, alert.message)
            known[alert.id] = replace(alert, facts=facts)
        elif alert.closed_at is not None:  # with its agent, which was deleted
            known[alert.id] = alert
    unknown = [notice for notice in due if notice.alert_id is not None and notice.alert_id not in known]
    await notices.judge_later(tx, unknown, now)
    return known
