"""The messages that Now shows: those that could not be sent, or came back."""

from datetime import datetime
from functools import partial

from sqlalchemy import ColumnElement, Integer, Select, bindparam, literal_column, select

from app.domain.message import Message, MessageState
from app.store.alerts import Customers
from app.store.messages import MESSAGES
from app.store.prepared import Builder, Prepared, Values
from app.store.row_mapping import readable_values
from app.store.tables import messages
from app.store.transactions import ReadTx
from app.store.types import Utc


def _build_in_trouble(db: Builder, state: MessageState, *, is_of_some: bool) -> Select[Values]:
    # The state as a text of the statement: an index has the messages of each of these two.
    is_in_state: ColumnElement[bool] = literal_column(f"messages.state = '{state.value}'")
    is_new: ColumnElement[bool] = messages.c.settled_at >= bindparam("since", type_=Utc)
    seen = [db.one_of(messages.c.customer_id, "seen")] if is_of_some else []
    query = select(*MESSAGES.mapping.columns).where(is_in_state, is_new, messages.c.moved_to.is_(None), *seen)
    return query.order_by(messages.c.settled_at.desc()).limit(bindparam("most", type_=Integer))


_IN_TROUBLE = {
    is_of_some: [
        Prepared(partial(_build_in_trouble, state=state, is_of_some=is_of_some))
        for state in (MessageState.DEAD, MessageState.BOUNCED)
    ]
    for is_of_some in (False, True)
}


async def newest_in_trouble(tx: ReadTx, seen: Customers, since: datetime, most: int) -> list[Message]:
    """Return the messages of these customers that could not be sent, or came back, since then, and that nothing replaced: the newest ones."""
    some = {} if seen is None else {"seen": sorted(seen)}
    found: list[Message] = []
    for statement in _IN_TROUBLE[seen is not None]:
        rows = await tx.fetch(statement, since=since, most=most, **some)
        found += readable_values(rows, MESSAGES.mapping, MESSAGES.noun)
    return sorted(found, key=lambda one: one.id, reverse=True)[:most]
