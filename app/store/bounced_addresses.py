"""Mail addresses of which the last mail came back."""

from dataclasses import fields
from datetime import datetime

from sqlalchemy import delete, func, insert, select, update

from app.domain.bounced_address import BouncedAddress
from app.domain.message import Message, MessageState
from app.domain.service_event import AGENT
from app.store.prepared import Prepared
from app.store.tables import agents, bounced_addresses, jobs, messages
from app.store.tables_managed import recipients
from app.store.transactions import ReadTx, WriteTx

_NAMES = [field.name for field in fields(BouncedAddress)]


_ALL = Prepared(lambda _: select(*(bounced_addresses.c[name] for name in _NAMES)).order_by(bounced_addresses.c.address))


async def all_bounced_addresses(tx: ReadTx) -> list[BouncedAddress]:
    """Return every one; there are few."""
    return [BouncedAddress(**dict(zip(_NAMES, values, strict=True))) for values in await tx.fetch(_ALL)]


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
    values = {name: getattr(one, name) for name in _NAMES}
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
