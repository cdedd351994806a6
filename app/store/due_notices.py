"""What compose needs to word due notices, read in one turn: the notices, their recipients, and what the first of them are about."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import ColumnElement, Integer, Text, any_, bindparam, func, literal, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.sql.base import Executable

from app.domain.bounced_address import BouncedAddress
from app.domain.notice import Notice
from app.domain.recipient import Recipient
from app.store.messages import AlertRows, alert_reads
from app.store.notices import NOTICES, WAITING_DUE, select_waiting_due, waiting_due
from app.store.prepared import Builder, Prepared, Together
from app.store.returned_mails import ALL_BOUNCED, bounced_of
from app.store.routing import RECIPIENTS, recipients_and_bounced
from app.store.row_mapping import readable_values
from app.store.tables import notices
from app.store.tables_managed import recipients
from app.store.transactions import ReadTx

# Of so many notices what they are about is read with them: mostly no more are due. In a storm, it is a small part of what is read.
FIRST = 10


class DueNotices(NamedTuple):
    """Due notices, the most urgent first; their recipients by id; addresses of which the last mail came back.

    `about`: what all of them are about; None where it was not read, because they are more than `FIRST`.
    """

    notices: Sequence[Notice]
    recipients: dict[str, Recipient]
    bounced: Sequence[BouncedAddress]
    about: AlertRows | None


def _build_recipients(_: Builder) -> Executable:
    of_due = select_waiting_due(notices.c.recipient_id, limit=bindparam("limit", type_=Integer))
    return select(*RECIPIENTS.mapping.columns).where(recipients.c.id.in_(of_due))


def _is_among_first(column: ColumnElement[str], db: Builder) -> ColumnElement[bool]:
    """Return the condition that a column is the alert of one of the first due notices."""
    first = select_waiting_due(notices.c.alert_id, limit=literal(FIRST, Integer)).correlate(None)
    if db.is_sqlite:
        return column.in_(first)
    return column == any_(func.array(first.scalar_subquery(), type_=ARRAY(Text)))  # so that it is found by its index


_DUE = Together(WAITING_DUE, Prepared(_build_recipients), ALL_BOUNCED, *alert_reads(_is_among_first))


async def read_due_notices(tx: ReadTx, now: datetime, limit: int) -> DueNotices:
    """Return up to `limit` due notices that wait to be worded."""
    rows, of_recipients, bounced, *first = await tx.fetch_together(_DUE, now=now, limit=limit)
    due = readable_values(rows, NOTICES.mapping, "notice")
    if len(due) < len(rows) == limit:  # others follow those that cannot be read
        due = await waiting_due(tx, now, limit)
        found, all_bounced = await recipients_and_bounced(tx, {one.recipient_id for one in due if one.recipient_id})
        return DueNotices(due, found, all_bounced, None)
    by_id = {one.id: one for one in readable_values(of_recipients, RECIPIENTS.mapping, "recipient")}
    return DueNotices(due, by_id, bounced_of(bounced), AlertRows(*first) if len(rows) <= FIRST else None)
