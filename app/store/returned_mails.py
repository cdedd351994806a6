"""Mails that came back: stored first, as they came, and read later by the worker."""

from datetime import datetime

from sqlalchemy import RowMapping, select, text
from sqlalchemy.dialects import postgresql, sqlite

from app.domain.own_address import AddressKind
from app.domain.returned_mail import RAW_MOST, ReturnedMail, Via
from app.store.tables import returned_mails
from app.store.transactions import WriteTx

# Exactly the condition of the partial index (see store/outbox.py).
_NEW = text("returned_mails.state = 'new'")


async def add_returned_mail(tx: WriteTx, mail: ReturnedMail) -> bool:
    """Store a mail to be read; return False if it was stored before."""
    values = {
        "id": mail.id,
        "received_at": mail.received_at,
        "via": mail.via,
        "kind": mail.kind,
        "about_id": mail.about_id,
        "sender": mail.sender[:320],
        "sha256": mail.sha256,
        "raw": mail.raw[:RAW_MOST],
        "state": "new",
        "due_at": mail.received_at,
    }
    insert_new = (sqlite.insert if tx.is_sqlite else postgresql.insert)(returned_mails).values(values)
    added = await tx.connection.execute(insert_new.on_conflict_do_nothing().returning(returned_mails.c.id))
    return added.first() is not None


async def claim_returned_mails(tx: WriteTx, now: datetime, limit: int) -> list[ReturnedMail]:
    """Return mails that wait to be read, locked until the transaction ends."""
    due = (
        select(returned_mails)
        .where(_NEW, returned_mails.c.due_at <= now)
        .order_by(returned_mails.c.due_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    return [_mail_from(row) for row in (await tx.connection.execute(due)).mappings()]


def _mail_from(row: RowMapping) -> ReturnedMail:
    return ReturnedMail(
        id=row["id"],
        received_at=row["received_at"],
        via=Via(row["via"]),
        kind=AddressKind(row["kind"]),
        about_id=row["about_id"],
        sender=row["sender"],
        raw=row["raw"],
    )
