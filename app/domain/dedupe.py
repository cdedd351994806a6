"""Every key that prevents something from being done twice, each with the harm that it prevents. Pure."""

import hashlib
from datetime import UTC, datetime

OURS = "tocsin:"  # prefix of the keys of our own clock's events; an agent that used one first would suppress the event of the clock


def missed_key(job_id: str, slot: datetime) -> str:
    """One missed event for a job and slot: two workers must not both report the slot missed."""
    return f"{OURS}missed:{job_id}:{slot.isoformat()}"


def overrun_key(run_id: str, at: datetime) -> str:
    """One overrun event for a run and its limit: after a longer limit, set after a false alarm, there is a new one."""
    return f"{OURS}overrun:{run_id}:{at.isoformat()}"


def silent_key(agent_id: str, since: datetime, at: datetime) -> str:
    """One silent event for an agent, the time of its last report and its limit, which may be made longer after a false alarm."""
    return f"{OURS}silent:{agent_id}:{since.isoformat()}:{at.isoformat()}"


def relay_key(relay_id: str, at: datetime) -> str:
    """One event for each change of a relay's state; the lock on the relay's row prevents two workers from both writing one."""
    return f"{OURS}relay:{relay_id}:{at.isoformat()}"


def bounced_address_key(customer_id: str, address: str, at: datetime) -> str:
    """One event for each change of an address and customer; the lock on the address's row prevents two workers from both writing one."""
    return f"{OURS}bounced:{customer_id}:{_short(address)[:16]}:{at.isoformat()}"


def canary_key(canary_id: str, what: str) -> str:
    """One event that a canary was lost and one that it arrived: two workers must not both report it."""
    return f"{OURS}canary:{canary_id}:{what}"


def refused_agents_key(key_id: str, at: datetime, *, is_over: bool) -> str:
    """One event a day for each key that refuses agents, and one when it is over: who tries without end must not write without end."""
    return f"{OURS}refused:{key_id}:{at.isoformat() + ':over' if is_over else at.date().isoformat()}"


def credential_key(ends_at: datetime | None, stage: str) -> str:
    """One event for each credential and stage before its end: the clock looks every hour, and two workers look."""
    return f"{OURS}credential:{'none' if ends_at is None else ends_at.isoformat()}:{stage}"


def excess_key(key_id: str, at: datetime) -> str:
    """One event for each change of what goes beyond a key's budgets; the lock on its rows prevents two workers from both writing one."""
    return f"{OURS}excess:{key_id}:{at.isoformat()}"


def new_name_key(agent: str, key: str) -> str:
    """One event for a failure that is stored under the sender's key instead of its agent: two agents may use the same keys for their events."""
    return f"{OURS}new name:{_short(f'{len(agent)}:{agent}{key}')}"


def disk_key(well_since: datetime, stage: str) -> str:
    """One event for each stage of a disk since it was well: the clock looks every few seconds, and two workers look."""
    return f"{OURS}disk:{well_since.isoformat()}:{stage}"


def uncomposed_key(well_since: datetime, *, is_well: bool) -> str:
    """One event since all messages could be composed: the clock looks every minute, and two workers look."""
    return f"{OURS}uncomposed:{well_since.isoformat()}:{'well' if is_well else 'stuck'}"


def set_aside_key(well_since: datetime, *, is_well: bool) -> str:
    """One event since all reports of trouble were decided on: the clock looks every minute, and several workers look."""
    return f"{OURS}set aside:{well_since.isoformat()}:{'well' if is_well else 'stuck'}"


def unreadable_key(well_since: datetime, *, is_well: bool) -> str:
    """One event since all rows could be read: the clock looks every minute, and several workers look."""
    return f"{OURS}unreadable:{well_since.isoformat()}:{'well' if is_well else 'stuck'}"


TAUGHT = f"{OURS}taught:"


def taught_key(event_id: str, at: datetime) -> str:
    """One taught event for an event and moment. The keys sort by time, so that of two answers to one question the later one counts."""
    return f"{TAUGHT}{event_id}:{at.astimezone(UTC).isoformat(timespec='microseconds')}"


def taught_rule_name(customer_id: str, text: str, form: str) -> str:
    """One rule that was taught for a customer and form of text: two answers at once must not both make one."""
    return f"taught: {text[:150]} [{_short(customer_id + form)[:8]}]"


def notice_key(alert_id: str, what: str, route_id: str, recipient_id: str, occasion: str) -> str:
    """One notice of a kind to a recipient by a route; `occasion` distinguishes repeats. Prevents a second mail after a crash."""
    return _short(f"{alert_id}|{what}|{route_id}|{recipient_id}|{occasion}")


def summary_key(summary_id: str, recipient_id: str) -> str:
    """One notice of a summary to a recipient: made once, even after a crash."""
    return f"{summary_id}:{recipient_id}"


def group_key(route_id: str, values: tuple[str, ...]) -> str:
    """The group of an alert under a route; a hash, so that no name of a backup is too long for it or contains a character that it cannot hold."""
    return _short("|".join((route_id, *values)))


def content_key(content: bytes) -> str:
    """The key of an event that was sent without one: the same content from the same agent is the same event."""
    return "sha256:" + hashlib.sha256(content).hexdigest()


def _short(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:48]
