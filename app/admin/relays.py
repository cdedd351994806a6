"""Relays: added by administrators, paused and resumed by them, asked for their doctor; and heard when they tell how they are."""

from datetime import datetime

from app.admin.audit import note
from app.admin.editing import Editor, Noun, Values
from app.admin.references import check_customer, check_recipients
from app.context import AppContext
from app.core.errors import Conflict, NotAllowed, NotFound
from app.domain.record import Record
from app.domain.relay import Relay, agent_of, event_of
from app.store.first_start import first_customer
from app.store.inbox import insert_clock_events
from app.store.intake import agents_by_name
from app.store.relays import RELAYS, find_relay, note_relay, revoke_keys_of_relay
from app.store.transactions import WriteTx
from programs.protocol.relay import RelayHeartbeat, RelayInstructions


async def _prepare(tx: WriteTx, values: Values, before: Record | None, by: Editor) -> Values:
    if "customer_id" in values or before is None:
        owner = values.get("customer_id") or await first_customer(tx)
        await check_customer(tx, owner)
        values = {**values, "customer_id": owner}
    for customer_id in values.get("customers", ()):
        await check_customer(tx, customer_id)
    await check_recipients(tx, values.get("recipients", ()))
    if before is None:
        return {**values, "said": {}}
    if values.keys() & {"name", "customer_id"} and await _end_trouble(tx, before.id, "is called otherwise now", by):
        return {**values, "trouble": None, "trouble_at": None}  # told anew under what it is called now
    return values


async def _detach(tx: WriteTx, relay: Record, by: Editor) -> None:
    await _end_trouble(tx, relay.id, "was deleted", by)
    await revoke_keys_of_relay(tx, relay.id, by.at)


async def _end_trouble(tx: WriteTx, relay_id: str, what: str, by: Editor) -> bool:
    """Tell that what was told of a relay is over, for nobody else will: else its alert stays open. False if it was well."""
    relay = await find_relay(tx, relay_id)
    if relay is None or relay.trouble is None:
        return False
    agent, at = agent_of(relay), max(by.at, relay.trouble_at or by.at)
    agent_id = (await agents_by_name(tx, {agent}, at))[agent]
    await insert_clock_events(tx, [event_of(relay, agent_id, f"the relay {what}: {by.who}", at, is_well=True)])
    tx.after_commit(lambda: by.wake("events"))
    return True


NOUN = Noun("relay", RELAYS, _prepare, _detach)


async def pause(tx: WriteTx, relay_id: str, why: str, by: Editor) -> None:
    """Give it nothing more to send; its messages take the next transport. Raises NotFound, Conflict if it is paused already."""
    relay = await _get(tx, relay_id)
    if relay.paused_at is not None:
        raise Conflict(f"it is paused since {relay.paused_at:%Y-%m-%d %H:%M} UTC", code="paused")
    await note_relay(tx, relay_id, {"paused_at": by.at, "paused_why": f"{why} ({by.who})"})
    await note(tx, by.who, by.at, "pause", "relay", relay_id, {"why": why})
    tx.after_commit(lambda: by.wake("messages"))


async def resume(tx: WriteTx, relay_id: str, by: Editor) -> None:
    """Let it send again, and have its doctor look once more."""
    relay = await _get(tx, relay_id)
    cleared = {"paused_at": None, "paused_why": None, "stuck_at": None, "stuck_why": None, "doctor_asked_at": by.at}
    await note_relay(tx, relay_id, cleared)
    await note(tx, by.who, by.at, "resume", "relay", relay_id, {"was": relay.paused_why})
    tx.after_commit(lambda: by.wake("messages"))


async def ask_doctor(tx: WriteTx, relay_id: str, by: Editor) -> None:
    """Have the relay look at its host anew."""
    await _get(tx, relay_id)
    await note_relay(tx, relay_id, {"doctor_asked_at": by.at})
    await note(tx, by.who, by.at, "doctor", "relay", relay_id, {})
    tx.after_commit(lambda: by.wake("messages"))


async def hear(tx: WriteTx, relay_id: str, said: RelayHeartbeat, now: datetime) -> Relay:
    """Note what a relay says of itself. Raises NotAllowed if it was deleted."""
    await note_relay(tx, relay_id, {"seen_at": now, "said": said.as_json()})
    relay = await find_relay(tx, relay_id)
    if relay is None:
        raise NotAllowed("this relay was deleted")
    return relay


async def has_news(context: AppContext, relay_id: str, known: RelayInstructions) -> bool:
    """Say whether something else is wanted of a relay by now, or whether it was deleted."""
    async with context.database.read() as tx:
        relay = await find_relay(tx, relay_id)
    asked = "" if relay is None or relay.doctor_asked_at is None else relay.doctor_asked_at.isoformat()
    return relay is None or (relay.paused_at is not None) != known.is_paused or asked != known.doctor_asked


async def _get(tx: WriteTx, relay_id: str) -> Relay:
    relay = await find_relay(tx, relay_id, for_change=True)
    if relay is None:
        raise NotFound(f"there is no relay {relay_id}")
    return relay
