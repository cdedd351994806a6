"""Mails that came back: stored first, as they came, and read later by the worker."""

from datetime import datetime

from sqlalchemy import Integer, bindparam, case, func, select, text, update
from sqlalchemy.dialects import postgresql, sqlite

from app.domain.own_address import AddressKind
from app.domain.returned_mail import RAW_MOST, ReadMail, ReturnedMail, ReturnKind, Via
from app.store.prepared import Prepared
from app.store.tables import returned_mails
from app.store.transactions import ReadTx, WriteTx
from app.store.types import Utc

MOST_ABOUT_ONE = 20  # a mail is delayed a few times at most, and then it comes back or arrives
# Exactly the condition of the partial index (see store/outbox.py).
_NEW = text("returned_mails.state = 'new'")


async def add_returned_mail(tx: WriteTx, mail: ReturnedMail) -> bool:
    """Store a mail to be read; return False if it was stored before, or if many are stored about the same already.

    Who knows one of our addresses could else fill the disk, and keep us reading.
    """
    about = select(func.count()).select_from(returned_mails).where(returned_mails.c.about_id == mail.about_id)
    if (await tx.connection.scalar(about) or 0) >= MOST_ABOUT_ONE:
        return False
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


_FIELDS = [returned_mails.c[name] for name in ("id", "received_at", "via", "kind", "about_id", "sender", "raw")]
_DUE = Prepared(
    lambda _: (
        select(*_FIELDS)
        .where(_NEW, returned_mails.c.due_at <= bindparam("now", type_=Utc))
        .order_by(returned_mails.c.due_at)
        .limit(bindparam("limit", type_=Integer))
    )
)


async def due_returned_mails(tx: ReadTx, now: datetime, limit: int) -> list[ReturnedMail]:
    """Return mails that wait to be read, the oldest first."""
    return [
        ReturnedMail(mail_id, received_at, Via(via), AddressKind(kind), about_id, sender, raw)
        for mail_id, received_at, via, kind, about_id, sender, raw in await tx.fetch(_DUE, now=now, limit=limit)
    ]


async def claim_returned_mail(tx: WriteTx, mail_id: str) -> int | None:
    """Lock one that still waits until the transaction ends; return how often it was tried, or None if another worker read it."""
    own = select(returned_mails.c.tries).where(_NEW, returned_mails.c.id == mail_id).with_for_update(skip_locked=True)
    tries: int | None = await tx.connection.scalar(own)
    return tries


async def finish_returned_mail(tx: WriteTx, mail_id: str, result: ReturnKind, words: str, now: datetime) -> None:
    """Note what a mail reported. Its bytes are kept for the administrator who asks."""
    values = {"state": "read", "result": result, "words": words, "read_at": now}
    await tx.connection.execute(update(returned_mails).where(returned_mails.c.id == mail_id).values(values))


async def put_off_returned_mail(tx: WriteTx, mail_id: str, due_at: datetime, *, failed: bool, most: int) -> None:
    """Read a mail again later; one that `failed` so often that `most` is reached is set aside."""
    values: dict[str, object] = {"due_at": due_at}
    if failed:
        last = returned_mails.c.tries + 1 >= most
        values |= {"tries": returned_mails.c.tries + 1, "state": case((last, "failed"), else_="new")}
    await tx.connection.execute(update(returned_mails).where(returned_mails.c.id == mail_id).values(values))


async def returned_about(tx: ReadTx, about_id: str, limit: int) -> list[ReadMail]:
    """Return what came back about a message, the newest first."""
    columns = [returned_mails.c[name] for name in ("received_at", "via", "sender", "result", "words")]
    query = select(*columns).where(returned_mails.c.about_id == about_id)
    rows = await tx.connection.execute(query.order_by(returned_mails.c.id.desc()).limit(limit))
    return [
        ReadMail(row.received_at, Via(row.via), row.sender, ReturnKind(row.result) if row.result else None, row.words)
        for row in rows
    ]
