"""What administrators do to relays, and what relays report of themselves."""

import contextlib
from collections.abc import Callable, Collection
from dataclasses import replace
from datetime import datetime, timedelta

from app.admin import editing
from app.admin.audit import note
from app.admin.editing import Editor
from app.admin.references import check_customer, check_recipients
from app.context import AppContext
from app.core.errors import Conflict, NotAllowed
from app.core.ids import new_id
from app.domain.message import Bodies, Message, Parcel
from app.domain.relay import Relay, after_doctor, after_resume, agent_of, event_of
from app.store import outbox
from app.store.events import insert_clock_events
from app.store.first_start import first_customer
from app.store.intake import find_or_create_agents
from app.store.relays import RELAYS, delete_setup_code, revoke_keys_of_relay
from app.store.transactions import WriteTx
from programs.protocol.relay import RelayHeartbeat, RelayInstructions

_TEST_FOR = timedelta(hours=1)  # how long a test message may wait for its relay


async def create_relay(
    tx: WriteTx,
    name: str,
    by: Editor,
    *,
    customer_id: str | None,
    customers: tuple[str, ...],
    recipients: tuple[str, ...],
    silent_after: timedelta,
    oldest_after: timedelta,
    test_address: str | None = None,
) -> Relay:
    """Add a relay; without `customer_id` it belongs to the first customer. Raises BadInput, Conflict if the name is taken."""
    owner = customer_id or await first_customer(tx)
    if owner is None:
        raise Conflict("there is no customer yet; create one first", code="no_customer")
    await check_customer(tx, owner)
    relay = Relay(
        id=new_id("rly"),
        customer_id=owner,
        name=name,
        created_at=by.at,
        customers=customers,
        recipients=recipients,
        silent_after=silent_after,
        oldest_after=oldest_after,
        test_address=test_address,
    )
    await _check_senders(tx, relay)
    return await editing.insert(tx, RELAYS, relay, by)


async def update_relay(
    tx: WriteTx, relay_id: str, edit: Callable[[Relay], Relay], by: Editor, *, versions: Collection[int] | None = None
) -> Relay:
    """Change a relay. Raises NotFound, StaleEdit, BadInput, Conflict."""
    before = await editing.lock_to_change(tx, RELAYS, relay_id, by, versions)
    after = edit(before)
    if after == before:
        return before
    if (after.customers, after.recipients) != (before.customers, before.recipients):
        await _check_senders(tx, after)
    if after.name != before.name and await _end_trouble(tx, before, "has another name now", by):
        after = replace(after, trouble=None, trouble_at=None)  # reported again under its new name
    return await editing.save(tx, RELAYS, before, after, by)


async def delete_relay(tx: WriteTx, relay_id: str, by: Editor, *, versions: Collection[int] | None = None) -> None:
    """Delete a relay and revoke its keys. Raises NotFound, StaleEdit."""
    row = await editing.lock_to_delete(tx, RELAYS, relay_id, versions)
    with contextlib.suppress(Conflict):  # a relay that cannot be read: its alert, if there is one, is closed by hand
        await _end_trouble(tx, await RELAYS.get(tx, row.id), "was deleted", by)
    await delete_setup_code(tx, row.id)
    await revoke_keys_of_relay(tx, row.id, by.at)
    await editing.delete(tx, RELAYS, row, by)


async def pause_relay(tx: WriteTx, relay_id: str, why: str, by: Editor) -> None:
    """Let a relay send nothing more; its messages take the next transport. Raises NotFound, Conflict if it is paused already."""
    relay = await editing.lock(tx, RELAYS, relay_id)
    if relay.paused_at is not None:
        raise Conflict(f"it is paused since {relay.paused_at:%Y-%m-%d %H:%M} UTC", code="paused")
    await RELAYS.save_state(tx, relay, replace(relay, paused_at=by.at, paused_why=f"{why} ({by.who})"))
    await note(tx, by, "pause", RELAYS.noun, relay.id, {"why": why})
    tx.after_commit(lambda: by.wake("messages"))


async def resume_relay(tx: WriteTx, relay_id: str, by: Editor) -> None:
    """Let a relay send again, after its doctor has run once more. Raises NotFound."""
    relay = await editing.lock(tx, RELAYS, relay_id)
    await RELAYS.save_state(tx, relay, after_resume(relay, by.at))
    await note(tx, by, "resume", RELAYS.noun, relay.id, {"was": relay.paused_why})
    tx.after_commit(lambda: by.wake("messages"))


async def ask_relay_doctor(tx: WriteTx, relay_id: str, by: Editor) -> None:
    """Have a relay examine its host again. Raises NotFound."""
    relay = await editing.lock(tx, RELAYS, relay_id)
    await RELAYS.save_state(tx, relay, replace(relay, doctor_asked_at=by.at))
    await note(tx, by, "doctor", RELAYS.noun, relay.id, {})
    tx.after_commit(lambda: by.wake("messages"))


async def queue_test_message(tx: WriteTx, relay_id: str, parcel: Parcel, by: Editor) -> None:
    """Queue a test message for this relay alone; while its breaker is open it is a probe. Raises NotFound, Conflict while it is paused.

    The address of the first test becomes the one of the relay's probes, so that it can find out by itself whether it sends again.
    """
    relay = await editing.lock(tx, RELAYS, relay_id)
    if relay.paused_at is not None:
        raise Conflict(f"it is paused: {relay.paused_why}", code="paused")
    probe_at = None if relay.broken_at is None else by.at
    tested = replace(relay, test_address=relay.test_address or parcel.address, probe_at=probe_at)
    await RELAYS.save_state(tx, relay, tested)
    await outbox.insert_messages(tx, [(_test_message(relay, parcel, by.at), Bodies(mail=parcel.body))])
    await note(tx, by, "test", RELAYS.noun, relay.id, {"address": parcel.address})
    tx.after_commit(lambda: by.wake("messages"))


async def queue_probe(tx: WriteTx, relay: Relay, parcel: Parcel, now: datetime) -> None:
    """Queue a message to the test address of a relay whose breaker is open, unless the last one still waits."""
    if not await outbox.is_waiting_for(tx, relay.id):
        await outbox.insert_messages(tx, [(_test_message(relay, parcel, now), Bodies(mail=parcel.body))])


def _test_message(relay: Relay, parcel: Parcel, now: datetime) -> Message:
    return Message(
        id=parcel.id,
        recipient_id=relay.id,
        transport="mapi",
        place=0,
        address=parcel.address,
        urgency=0,
        is_alert=False,
        subject=f"Test through relay {relay.name}",
        message_id=parcel.message_id,
        created_at=now,
        due_at=now,
        move_on_at=now + _TEST_FOR,
        give_up_at=now + _TEST_FOR,
        customer_id=relay.customer_id,
        relay_id=relay.id,
    )


async def receive_heartbeat(tx: WriteTx, relay_id: str, heartbeat: RelayHeartbeat, now: datetime) -> Relay:
    """Store what a relay reports of itself, and return the relay. Raises NotAllowed if it was deleted."""
    relay = await RELAYS.find(tx, relay_id, for_change=True)
    if relay is None:
        raise NotAllowed("this relay was deleted")
    heard = after_doctor(replace(relay, seen_at=now, heartbeat=heartbeat.as_json()), now)
    await RELAYS.save_state(tx, relay, heard)
    return heard


async def has_news(context: AppContext, relay_id: str, known: RelayInstructions) -> bool:
    """Return whether the instructions for a relay have changed, or whether it was deleted."""
    async with context.database.read() as tx:
        relay = await RELAYS.find(tx, relay_id)
    asked = "" if relay is None or relay.doctor_asked_at is None else relay.doctor_asked_at.isoformat()
    return relay is None or (relay.paused_at is not None) != known.is_paused or asked != known.doctor_asked


async def _check_senders(tx: WriteTx, relay: Relay) -> None:
    """Raise BadInput unless the customers and recipients whose messages it sends exist."""
    for customer_id in relay.customers:
        await check_customer(tx, customer_id)
    await check_recipients(tx, relay.recipients)


async def _end_trouble(tx: WriteTx, relay: Relay, what: str, by: Editor) -> bool:
    """Report that a relay's trouble is over, or its alert would stay open for ever. Returns False if it had none."""
    if relay.trouble is None:
        return False
    agent, at = agent_of(relay), max(by.at, relay.trouble_at or by.at)
    agent_id = (await find_or_create_agents(tx, {agent}, at))[agent]
    await insert_clock_events(tx, [event_of(relay, agent_id, f"the relay {what}: {by.who}", at, is_well=True)])
    tx.after_commit(lambda: by.wake("events"))
    return True
