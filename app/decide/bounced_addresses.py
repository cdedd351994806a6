"""Writes the events about mail addresses that fail permanently. They are reported like a failed backup, to recipients who can still be reached.

An address works again if a mail to it has not come back for a day, or if no recipient has it any more.
"""

from collections.abc import Collection
from dataclasses import replace
from datetime import datetime

from app.context import AppContext
from app.domain.bounced_address import BouncedAddress, address_event, job_name_of_address
from app.domain.recipient import Recipient
from app.domain.service_event import AGENT
from app.store import returned_mails
from app.store.events import insert_clock_events
from app.store.first_start import first_customer
from app.store.intake import find_or_create_agents
from app.store.routing import all_recipients
from app.store.transactions import ReadTx, WriteTx


async def tick(context: AppContext) -> bool:
    """Report addresses that fail and were not reported yet, and those that work again."""
    now = context.clock()
    async with context.database.read() as tx:
        bounced = await returned_mails.all_bounced_addresses(tx)
        recipients = await all_recipients(tx) if bounced else []
        news = [one.address for one in bounced if await _is_news(tx, one, recipients, now)]
    for address in news:
        async with context.database.write() as tx:
            await _note_change(tx, address, recipients, now)
            tx.after_commit(lambda: context.wakeups.wake("events"))
    return False


async def _is_news(tx: ReadTx, one: BouncedAddress, recipients: Collection[Recipient], now: datetime) -> bool:
    return (one.fails and one.reported_at is None) or await _is_over(tx, one, recipients, now)


async def _is_over(tx: ReadTx, one: BouncedAddress, recipients: Collection[Recipient], now: datetime) -> bool:
    if one.has_arrived or not _having(one.address, recipients):
        return True
    return one.is_well(await returned_mails.last_sent_to(tx, one.address, one.last_message_id), now)


async def _note_change(tx: WriteTx, address: str, recipients: Collection[Recipient], now: datetime) -> None:
    """Write the event, or nothing if another worker did so meanwhile."""
    one = await returned_mails.find_bounced_address(tx, address)
    if one is None or not await _is_news(tx, one, recipients, now):
        return
    is_over = await _is_over(tx, one, recipients, now)
    if is_over:
        await returned_mails.forget_bounced_address(tx, address)
    else:
        await returned_mails.save_bounced_address(tx, replace(one, reported_at=now), is_new=False)
    if is_over and one.reported_at is None:
        return
    having = _having(address, recipients)
    first = await first_customer(tx) or ""
    customers = {it.customer_id or first for it in having} if not is_over else set()
    agents = await find_or_create_agents(tx, {(customer_id, AGENT) for customer_id in customers if customer_id}, now)
    # What was reported ends where it was reported, even if no recipient has the address any more.
    reported = {(customer_id, agent_id) for (customer_id, _), agent_id in agents.items()}
    for customer_id, agent_id in reported or await returned_mails.reporting_agents(tx, job_name_of_address(address)):
        theirs = [it for it in having if (it.customer_id or first) == customer_id]
        event = address_event(one, theirs, customer_id, agent_id, now, is_well=is_over)
        await insert_clock_events(tx, [event])


def _having(address: str, recipients: Collection[Recipient]) -> list[Recipient]:
    return [one for one in recipients if address in {to.address.lower() for to in one.transports}]
