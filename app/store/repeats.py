"""When open alerts are told again, set anew for a whole route, and counted from the newest word only. It must not decide whether they are (that is `decide/repeat`)."""

from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import bindparam, exists, func, select, update

from app.domain.notice import Notice, NoticeKind, NoticeState
from app.store.notices import TOLD
from app.store.tables import alerts, notices
from app.store.transactions import WriteTx


async def repeat_every(tx: WriteTx, route_id: str, every: timedelta | None) -> None:
    """Have what this route told of open alerts told again `every` after it was told last, or never again."""
    of_route = (notices.c.route_id == route_id, notices.c.what.in_(TOLD))
    told = (notices.c.state.in_((NoticeState.WAITING, NoticeState.WORDED)), alerts.c.closed_at.is_(None))
    columns = (notices.c.alert_id, notices.c.recipient_id, func.max(notices.c.id).label("newest"))
    newest = (
        select(*columns)
        .join_from(alerts, notices, notices.c.alert_id == alerts.c.id)
        .where(*of_route, *told, alerts.c.acknowledged_at.is_(None))
        .group_by(notices.c.alert_id, notices.c.recipient_id)
        .subquery()
    )
    found = await tx.connection.execute(
        select(notices.c.id, notices.c.due_at).join(newest, newest.c.newest == notices.c.id)
    )
    rows = [{"of_id": row.id, "at": None if every is None else row.due_at + every} for row in found]
    if rows:
        change = update(notices).where(notices.c.id == bindparam("of_id"))
        await tx.connection.execute(change.values(repeat_at=bindparam("at")), rows)


async def count_from(tx: WriteTx, made: Sequence[Notice]) -> None:
    """Count repeats from these notices, where they were stored: an alert told again out of turn would be reminded of twice from then on."""
    newest = {(n.alert_id, n.route_id): n for n in made if n.what is NoticeKind.REPEATED and n.repeat_at is not None}
    if not newest:
        return
    stored = notices.alias("stored")
    older = (
        notices.c.alert_id == bindparam("of_alert"),
        notices.c.route_id == bindparam("of_route"),
        notices.c.repeat_at.is_not(None),
        notices.c.created_at != bindparam("made_at", type_=notices.c.created_at.type),
        exists(select(stored.c.id).where(stored.c.id == bindparam("new_id"))),
    )
    rows = [
        {"of_alert": alert_id, "of_route": route_id, "made_at": notice.created_at, "new_id": notice.id}
        for (alert_id, route_id), notice in newest.items()
    ]
    await tx.connection.execute(update(notices).where(*older).values(repeat_at=None), rows)
