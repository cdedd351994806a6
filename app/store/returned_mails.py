"""Mails that came back, the addresses of which the last mail came back, and how far our mailbox was read.

A returned mail is stored first, as it came, and read later by the worker.
"""

from collections.abc import Iterable
from dataclasses import dataclass, fields
from datetime import datetime

from sqlalchemy import Integer, bindparam, case, delete, func, insert, select, text, update
from sqlalchemy.dialects import postgresql, sqlite

from app.domain.bounced_address import BouncedAddress
from app.domain.message import Message, MessageState
from app.domain.own_address import AddressKind
from app.domain.returned_mail import RAW_MOST, ReadMail, ReturnedMail, ReturnKind, Via
from app.domain.service_event import AGENT
from app.store.prepared import Prepared, Values
from app.store.tables import agents, bounced_addresses, jobs, mailbox_positions, messages, returned_mails
from app.store.tables_managed import recipients
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


_ADDRESS_FIELDS = [field.name for field in fields(BouncedAddress)]


ALL_BOUNCED = Prepared(
    lambda _: select(*(bounced_addresses.c[name] for name in _ADDRESS_FIELDS)).order_by(bounced_addresses.c.address)
)


async def all_bounced_addresses(tx: ReadTx) -> list[BouncedAddress]:
    """Return every one; there are few."""
    return bounced_of(await tx.fetch(ALL_BOUNCED))


def bounced_of(rows: Iterable[Values]) -> list[BouncedAddress]:
    """Return what rows of `ALL_BOUNCED` hold."""
    return [BouncedAddress(**dict(zip(_ADDRESS_FIELDS, values, strict=True))) for values in rows]


async def passed_over(tx: ReadTx, now: datetime) -> frozenset[str]:
    """Return the addresses, in lower case, in place of which another address of the recipient is used."""
    return frozenset(one.address for one in await all_bounced_addresses(tx) if one.is_passed_over(now))


async def find_bounced_address(tx: WriteTx, address: str) -> BouncedAddress | None:
    """Return one, locked until the commit."""
    query = select(bounced_addresses).where(bounced_addresses.c.address == address.lower()).with_for_update()
    row = (await tx.connection.execute(query)).mappings().one_or_none()
    return None if row is None else BouncedAddress(**row)


async def save_bounced_address(tx: WriteTx, one: BouncedAddress, *, is_new: bool) -> None:
    """Insert or change one."""
    values = {name: getattr(one, name) for name in _ADDRESS_FIELDS}
    if is_new:
        await tx.connection.execute(insert(bounced_addresses).values(values))
    else:
        own = bounced_addresses.c.address == one.address
        await tx.connection.execute(update(bounced_addresses).where(own).values(values))


async def forget_bounced_address(tx: WriteTx, address: str) -> None:
    """Forget that mail to this address came back."""
    await tx.connection.execute(delete(bounced_addresses).where(bounced_addresses.c.address == address.lower()))


async def last_sent_to(tx: ReadTx, address: str, after: str, before: str | None = None) -> datetime | None:
    """Return when the newest mail to an address was sent that did not come back, among messages with ids between two."""
    of_address = [
        row.id
        for row in await tx.connection.execute(select(recipients.c.id, recipients.c.transports))
        if any(str(to["address"]).lower() == address.lower() for to in row.transports)
    ]
    sent = [
        messages.c.recipient_id.in_(of_address),
        messages.c.id > after,
        messages.c.state == MessageState.SENT,
        func.lower(messages.c.address) == address.lower(),
        messages.c.attempts > 0,  # and not settled because its predecessor was sent after all
    ]
    if before is not None:
        sent.append(messages.c.id < before)
    newest: datetime | None = await tx.connection.scalar(
        select(messages.c.settled_at).where(*sent).order_by(messages.c.id.desc()).limit(1)
    )
    return newest


async def was_well_between(tx: ReadTx, before: BouncedAddress, message: Message) -> bool:
    """Say whether a mail that was composed between the last two that came back did arrive, as far as we know."""
    return await last_sent_to(tx, before.address, before.last_message_id, message.id) is not None


async def reporting_agents(tx: ReadTx, job: str) -> list[tuple[str, str]]:
    """Return the customers under which an address was reported, each with the id of its agent."""
    own = jobs.c.name == job, agents.c.name == AGENT
    query = (
        select(jobs.c.customer_id, jobs.c.agent_id).join_from(jobs, agents, agents.c.id == jobs.c.agent_id).where(*own)
    )
    return [(row.customer_id, row.agent_id) for row in await tx.connection.execute(query)]


@dataclass(frozen=True, slots=True)
class MailboxPosition:
    """`next_uid` is the lowest UID not read yet, valid while the mailbox has this `uid_validity` (RFC 3501 section 2.3.1.1).

    `read_at`: when it was last read with success, or since when it cannot be read the first time. `trouble`: why it cannot, in words.
    """

    mailbox: str
    uid_validity: int
    next_uid: int
    read_at: datetime
    trouble: str | None = None


async def find_mailbox_position(tx: ReadTx, mailbox: str) -> MailboxPosition | None:
    """Return how far a mailbox was read."""
    query = select(mailbox_positions).where(mailbox_positions.c.mailbox == mailbox)
    row = (await tx.connection.execute(query)).mappings().one_or_none()
    return None if row is None else MailboxPosition(**row)


async def mailbox_last_read_at(tx: ReadTx) -> datetime | None:
    """Return when a mailbox of ours was last read with success; None if that never happened."""
    query = select(func.max(mailbox_positions.c.read_at)).where(mailbox_positions.c.uid_validity > 0)
    moment: datetime | None = await tx.connection.scalar(query)
    return moment


async def save_mailbox_position(tx: WriteTx, position: MailboxPosition) -> None:
    """Note how far it was read. Two workers may do so in any order: what is read twice is stored once."""
    values = {field.name: getattr(position, field.name) for field in fields(position)}
    insert = (sqlite.insert if tx.is_sqlite else postgresql.insert)(mailbox_positions).values(values)
    await tx.connection.execute(insert.on_conflict_do_update(index_elements=["mailbox"], set_=values))
