"""Ends alerts at the programs that keep their state, where they were closed without a report: by hand, by an answer, with an expectation that changed.

People need no message about what one of them did. A program would show such an alert for ever.
"""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

from app.context import AppContext
from app.core.ids import new_id
from app.domain.alert import Alert
from app.domain.dedupe import notice_key
from app.domain.message import KEEPS_STATES
from app.domain.notice import URGENCY_RECOVERY, Notice, NoticeKind, NoticeState
from app.store.alerts import closed_alerts, closed_between
from app.store.notices import insert_notices, reported_of
from app.store.routing import all_recipients
from app.store.transactions import ReadTx

_UNDONE_WITHIN = timedelta(seconds=70)  # the dashboard lets a closing be undone for 60
_AT_FIRST, _AGAIN = timedelta(days=1), timedelta(minutes=10)  # how far is looked back: after a start, and each time
_TOGETHER = 200


def make_tick() -> Callable[[AppContext], Awaitable[bool]]:
    """Return the stage, which looks at each closed alert about once."""
    seen_until: datetime | None = None

    async def tick(context: AppContext) -> bool:
        nonlocal seen_until
        until = context.clock() - _UNDONE_WITHIN
        since = until - _AT_FIRST if seen_until is None else min(seen_until, until) - _AGAIN
        async with context.database.read() as tx:
            keepers = frozenset(
                one.id for one in await all_recipients(tx) if any(to.transport in KEEPS_STATES for to in one.transports)
            )
            closed = await closed_between(tx, since, until) if keepers else []
        # Some at a time: thousands can be closed at once, and all of them together would hold the loop and the writer.
        for start in range(0, len(closed), _TOGETHER):
            async with context.database.read() as tx:
                some = await closed_alerts(tx, closed[start : start + _TOGETHER])
                made = await _ends(tx, some, keepers, context.clock())
            if made:
                async with context.database.write() as tx:
                    await insert_notices(tx, made)
                    tx.after_commit(lambda: context.wakeups.wake("notices"))
        seen_until = until
        return False

    return tick


async def _ends(tx: ReadTx, closed: list[Alert], keepers: frozenset[str], now: datetime) -> list[Notice]:
    """Return the notices by which these alerts end at programs that were sent them and were not sent their end."""
    by_id = {alert.id: alert for alert in closed}
    sent: dict[tuple[str, str], Notice] = {}
    ended: set[tuple[str, str]] = set()
    for notice in await reported_of(tx, list(by_id)):
        about = notice.alert_id or "", notice.recipient_id or ""
        if notice.what is NoticeKind.RECOVERED:
            ended.add(about)
        elif about[1] in keepers and notice.state is NoticeState.WORDED:
            sent[about] = notice
    return [
        _end(by_id[alert_id], notice, now) for (alert_id, to), notice in sent.items() if (alert_id, to) not in ended
    ]


def _end(alert: Alert, sent: Notice, now: datetime) -> Notice:
    return Notice(
        id=new_id("ntc"),
        what=NoticeKind.RECOVERED,
        state=NoticeState.WAITING,
        reason=f"{alert.closed_reason}; a program that keeps the state of the alert was sent it",
        due_at=now,
        group_key=sent.group_key,
        urgency=URGENCY_RECOVERY,
        dedupe=notice_key(alert.id, NoticeKind.RECOVERED, sent.route_id or "", sent.recipient_id or "", ""),
        created_at=now,
        customer_id=alert.customer_id,
        recipient_id=sent.recipient_id,
        route_id=sent.route_id,
        alert_id=alert.id,
    )
