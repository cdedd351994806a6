"""Steps of an alert to and from the outbox that are one statement of PostgreSQL each, and with `Database.alone` its own transaction.

A turn to the server takes 0.1 ms on an idle machine and 0.4 ms on a busy one, and each of these steps had five of them. On SQLite, a
statement is no turn: `notices.py` and `outbox.py` take the same steps one by one.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import String, Text, bindparam, func, insert, select, true, update
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.sql.base import Executable
from sqlalchemy.types import TypeEngine

from app.core.ids import new_id
from app.domain.lease import Leased
from app.domain.message import Bodies, Message, MessageState
from app.domain.notice import NoticeState
from app.store.outbox import LEASE_COLUMNS, LEASED, LEASED_COLUMNS, EndedAttempt, due_mails, leased_of
from app.store.prepared import Builder, Prepared
from app.store.tables import attempts, bodies, messages, notices
from app.store.transactions import ReadTx
from app.store.types import Utc


class ComposedGroup(NamedTuple):
    """Notices that a message words, by their ids, and all messages for them: the same one to each address that must get it."""

    message_id: str
    notice_ids: Sequence[str]
    stored: Sequence[tuple[Message, Bodies]]


class SettledAsSent(NamedTuple):
    """A message that was settled as sent, after so many attempts."""

    id: str
    transport: str
    attempts: int
    created_at: datetime


def _build_store(db: Builder) -> Executable:
    """Mark notices as worded and insert their messages, of those groups whose notices all wait. The commit does not wait for the disk."""
    notice_id, of_message = db.rows({"notice_id": String(), "of_message": String()})
    waits = notices.c.id == notice_id, notices.c.state == NoticeState.WAITING
    # In the order of ids, as `lock` in outbox.py.
    locked = select(notices.c.id, of_message.label("message_id")).where(*waits).order_by(notices.c.id)
    waiting = locked.with_for_update(of=notices).cte("waiting")
    given_id, given_message = db.rows({"notice_id": String(), "of_message": String()})
    found = select(given_message.label("id")).outerjoin(waiting, waiting.c.id == given_id).group_by(given_message)
    whole = found.having(func.count(waiting.c.id) == func.count()).cte("whole")
    marked = (
        update(notices)
        .where(notices.c.id == waiting.c.id, waiting.c.message_id == whole.c.id)
        .values(state=NoticeState.WORDED, message_id=waiting.c.message_id)
        .cte("marked")
    )
    first, *rows = db.rows({"of_group": String(), **{name: messages.c[name].type for name in Message.__slots__}})
    of_whole = select(*rows).where(first.in_(select(whole.c.id)))
    stored = insert(messages).from_select(list(Message.__slots__), of_whole).cte("stored")
    names = "message_id", "mail", "webhook"
    first, *rows = db.rows({"of_group": String(), **{f"body_{name}": bodies.c[name].type for name in names}})
    written = insert(bodies).from_select(names, select(*rows).where(first.in_(select(whole.c.id)))).cte("written")
    not_on_disk = func.set_config("synchronous_commit", "off", true())
    return select(whole.c.id, not_on_disk).add_cte(marked, stored, written)


def _build_settle_sent(db: Builder) -> Executable:
    """Settle leased messages as sent and end their attempts; `held` are those whose lease is still the one of the attempt."""
    types: dict[str, TypeEngine[Any]] = {"of_id": String(), "of_token": String(), "why": Text(), "settled_at": Utc()}
    ended = {name: attempts.c[name].type for name in ("ended_at", "outcome", "code", "text", "evidence")}
    of_id, of_token, why, settled_at, *result = db.rows({**types, **ended})
    begun = (attempts.c.message_id == messages.c.id) & (attempts.c.token == messages.c.lease_token)
    columns = messages.c.id, messages.c.transport, attempts.c.number, messages.c.created_at
    given = (why.label("why"), settled_at.label("settled_at"), attempts.c.id.label("attempt_id"))
    held = (
        select(*columns, *given, *(column.label(f"new_{name}") for name, column in zip(ended, result, strict=True)))
        .join_from(messages, attempts, begun)
        .where(messages.c.id == of_id, LEASED, messages.c.lease_token == of_token)
        .order_by(messages.c.id)  # as `lock` in outbox.py
        .with_for_update(of=messages)
        .cte("held")
    )
    free = dict.fromkeys(LEASE_COLUMNS)
    new = {"state": MessageState.SENT, "attempts": held.c.number, "why": held.c.why, "settled_at": held.c.settled_at}
    settled = update(messages).where(messages.c.id == held.c.id).values(**new, **free).cte("settled")
    results = {name: held.c[f"new_{name}"] for name in ended}
    ended_rows = update(attempts).where(attempts.c.id == held.c.attempt_id).values(results).cte("ended")
    return select(*(held.c[column.name] for column in columns)).add_cte(settled, ended_rows)


def _build_lease_and_begin(db: Builder) -> Executable:
    """Lease due mails and insert an attempt at each."""
    found = due_mails(db).add_columns(messages.c.urgency, messages.c.due_at).cte("found")
    due = select(found, func.row_number().over(order_by=(found.c.urgency, found.c.due_at)).label("place")).cte("due")
    held = {name: bindparam(name, type_=messages.c[name].type) for name in LEASE_COLUMNS}
    leased = update(messages).where(messages.c.id == due.c.id).values(state=MessageState.LEASED, **held).cte("leased")
    ids = func.unnest(bindparam("attempt_ids", type_=ARRAY(Text))).table_valued(
        "id", with_ordinality="place", name="ids"
    )
    ids = ids.render_derived()
    same = held["lease_holder"], held["lease_token"], bindparam("now", type_=Utc)
    rows = select(ids.c.id, due.c.id, due.c.attempts + 1, *same)
    rows = rows.join_from(due, ids, ids.c.place == due.c.place)
    names = ["id", "message_id", "number", "holder", "token", "started_at"]
    begun = insert(attempts).from_select(names, rows).cte("begun")
    return select(*(due.c[name] for name in (*LEASED_COLUMNS, "mail"))).order_by(due.c.place).add_cte(leased, begun)


_STORE = Prepared(_build_store, only_on="postgresql")
_SETTLE_SENT = Prepared(_build_settle_sent, only_on="postgresql")
_LEASE_AND_BEGIN = Prepared(_build_lease_and_begin, only_on="postgresql")


async def store_composed(tx: ReadTx, groups: Sequence[ComposedGroup]) -> set[str]:
    """Insert messages and mark their notices as worded, of each group whose notices all wait still; return the `message_id` of these groups.

    The commit does not wait for the disk (`Database.write`).
    """
    marks = [(one, group.message_id) for group in groups for one in group.notice_ids]
    stored = [(group.message_id, message, body) for group in groups for message, body in group.stored]
    columns: dict[str, Sequence[object]] = {
        "notice_id": [notice_id for notice_id, _ in marks],
        "of_message": [message_id for _, message_id in marks],
        "of_group": [of_group for of_group, _, _ in stored],
        **{name: [getattr(message, name) for _, message, _ in stored] for name in Message.__slots__},
        "body_message_id": [message.id for _, message, _ in stored],
        "body_mail": [body.mail for _, _, body in stored],
        "body_webhook": [body.webhook for _, _, body in stored],
    }
    return {message_id for message_id, _ in await tx.fetch_columns(_STORE, columns)}


async def settle_sent(
    tx: ReadTx, sent: Sequence[tuple[str, str, str, EndedAttempt]], now: datetime
) -> list[SettledAsSent]:
    """Settle different messages as sent, each given by its id, the token of its lease, why, and the end of its attempt (without its id).

    Return those that were; the others are not leased under this token any more, or have no attempt, and are as they were.
    """
    rows = [
        {"of_id": message_id, "of_token": token, "why": why, "settled_at": now, **ended._asdict()}
        for message_id, token, why, ended in sent
    ]
    columns = {name: [row[name] for row in rows] for name in rows[0] if name != "id"}
    return [SettledAsSent(*values) for values in await tx.fetch_columns(_SETTLE_SENT, columns)]


async def lease_and_begin(
    tx: ReadTx, transport: str, limit: int, now: datetime, holder: str, until: datetime
) -> list[Leased]:
    """Lease mails as `outbox.lease` does and insert an attempt at each."""
    token, attempt_ids = new_id("lse"), [new_id("att") for _ in range(limit)]
    held = {"lease_token": token, "lease_until": until, "lease_holder": holder, "attempt_ids": attempt_ids}
    rows = await tx.fetch(_LEASE_AND_BEGIN, now=now, transport=transport, limit=limit, **held)
    return leased_of(rows, transport, token, until)
