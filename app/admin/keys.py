"""What administrators do to keys: they are created, shown once, changed, and revoked. Only administrators may: a key can be anybody's."""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from app.admin import editing
from app.admin.audit import note
from app.admin.editing import Editor
from app.admin.people import check_customers
from app.admin.references import check_customer
from app.core.errors import BadInput, Conflict
from app.core.ids import new_id
from app.core.secret import Secret, hint_of, new_key
from app.domain.budget import OF_KEYS, Budget
from app.domain.enrolment import read_network
from app.domain.key import Key, KeyForm, KeyKind
from app.domain.person import Role
from app.store import keys
from app.store.agents import AGENTS
from app.store.relays import RELAYS
from app.store.transactions import WriteTx

_ENROLMENT = ("names", "from_addresses", "agents_most", "agents_until", "approve")
_BUDGETS = tuple(budget.value for budget in OF_KEYS)


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key to create."""

    kind: KeyKind
    name: str
    customer_id: str | None = None
    agent_id: str | None = None
    relay_id: str | None = None
    job: str | None = None
    form: KeyForm = KeyForm.TOCSIN
    names: tuple[str, ...] = ()
    from_addresses: tuple[str, ...] = ()
    agents_most: int | None = None
    agents_until: datetime | None = None
    approve: bool = False
    role: Role | None = None
    customers: tuple[str, ...] | None = None
    expires_at: datetime | None = None
    budgets: Mapping[Budget, int] = field(default_factory=dict)  # without those that follow the settings


async def create_key(tx: WriteTx, secret: Secret, wanted: NewKey, by: Editor) -> tuple[Key, str]:
    """Create a key; return it as people see it, and the key itself, which nobody can see again. Raises BadInput."""
    kind, name, agent_id = wanted.kind, wanted.name, wanted.agent_id
    sends = kind in (KeyKind.ENROL, KeyKind.AGENT)
    if not sends and wanted.job is not None:
        raise BadInput("only a key that sends events can name a job", field="job")
    if not sends and wanted.form is not KeyForm.TOCSIN:
        raise BadInput("only a key that sends events can have another form", field="form")
    customer_id = await _owner(tx, kind, wanted.customer_id, agent_id)
    if kind is not KeyKind.RELAY:
        if wanted.relay_id is not None:
            raise BadInput("only a key of kind relay belongs to a relay", field="relay_id")
    elif wanted.relay_id is None or await RELAYS.find(tx, wanted.relay_id) is None:
        raise BadInput("a relay's key needs the id of its relay", code="unknown_relay", field="relay_id")
    _check_expiry(wanted.expires_at, by)
    customers = await _check_rights(tx, wanted)
    clear = new_key(kind, wanted.form)
    key = Key(
        id=new_id("key"),
        kind=kind,
        name=name,
        hint=hint_of(clear),
        created_at=by.at,
        customer_id=customer_id,
        agent_id=agent_id,
        relay_id=wanted.relay_id,
        job=wanted.job,
        names=wanted.names,
        from_addresses=wanted.from_addresses,
        agents_most=wanted.agents_most,
        agents_until=wanted.agents_until,
        approve=wanted.approve,
        events_a_minute=wanted.budgets.get(Budget.EVENTS),
        new_agents_an_hour=wanted.budgets.get(Budget.AGENTS),
        new_jobs_an_hour=wanted.budgets.get(Budget.JOBS),
        bytes_a_day=wanted.budgets.get(Budget.BYTES),
        role=wanted.role,
        customers=customers,
        expires_at=wanted.expires_at,
    )
    key = _check_limits(key)
    await keys.insert_key(tx, key, secret.hash_key(clear))
    values: dict[str, object] = {
        "kind": kind.value,
        "name": name,
        "customer_id": customer_id,
        "agent_id": agent_id,
        "job": key.job,
    }
    values |= _set_fields(key, (*_ENROLMENT, *_BUDGETS, "role", "customers", "expires_at"))
    if key.relay_id:
        values["relay_id"] = key.relay_id
    await note(tx, by, "create", "key", key.id, values)
    return await keys.get_key(tx, key.id) or key, clear


async def update_key(
    tx: WriteTx, key_id: str, edit: Callable[[Key], Key], by: Editor, *, versions: Collection[int] | None = None
) -> Key:
    """Change the name and the limits of a key. Raises NotFound, StaleEdit, BadInput, and Conflict for one that is revoked."""
    before = await editing.lock(tx, keys.KEYS, key_id, versions)
    if before.revoked_at is not None:
        raise Conflict("this key is revoked; create another", code="key_revoked")
    after = _check_limits(edit(before))
    if after.expires_at != before.expires_at:
        _check_expiry(after.expires_at, by)
        if before.expires_at is None:
            await _keep_one_admin(tx, before)
    return before if after == before else await editing.save(tx, keys.KEYS, before, after, by)


def _check_limits(key: Key) -> Key:
    """Return a key with its networks as they are compared. Raises BadInput for limits that its kind cannot have."""
    if key.kind not in (KeyKind.ENROL, KeyKind.AGENT) and (budgets := _set_fields(key, _BUDGETS)):
        raise BadInput("only a key that sends events has budgets", field=next(iter(budgets)))
    if key.kind is not KeyKind.ENROL and (limits := _set_fields(key, _ENROLMENT)):
        raise BadInput("only an enrolment key lets agents in", field=next(iter(limits)))
    try:
        return replace(key, from_addresses=tuple(dict.fromkeys(map(read_network, key.from_addresses))))
    except ValueError as cause:
        raise BadInput(f"from_addresses: {cause}", field="from_addresses") from cause


def _set_fields(key: Key, names: Iterable[str]) -> dict[str, object]:
    """Return those of the fields that limit something."""
    return {name: value for name in names if (value := getattr(key, name))}


async def revoke_key(tx: WriteTx, key_id: str, by: Editor, *, versions: Collection[int] | None = None) -> None:
    """Revoke a key; it stays listed. Raises NotFound, StaleEdit, and Conflict for the last admin key: nobody could create another."""
    key = await editing.lock(tx, keys.KEYS, key_id, versions)
    if key.revoked_at is not None:
        return
    await _keep_one_admin(tx, key)
    await keys.revoke_key(tx, key_id, by.at)
    await note(tx, by, "revoke", "key", key_id, {"kind": key.kind.value, "name": key.name})


async def rotate_key(
    tx: WriteTx, secret: Secret, key_id: str, overlap: timedelta, form: KeyForm, by: Editor
) -> tuple[Key, str]:
    """Replace the secret of a key, and return both; the old one works for `overlap` more. Raises NotFound, and Conflict if it is revoked.

    A second rotation ends the overlap of the first.
    """
    key = await editing.lock(tx, keys.KEYS, key_id)
    if key.revoked_at is not None:
        raise Conflict("this key is revoked; create another", code="key_revoked")
    clear = new_key(key.kind, form)
    until = by.at + overlap
    await keys.rotate_key(tx, key_id, secret.hash_key(clear), hint_of(clear), until)
    await note(tx, by, "rotate", "key", key_id, {"name": key.name, "previous_until": until})
    return await editing.lock(tx, keys.KEYS, key_id), clear


def _check_expiry(expires_at: datetime | None, by: Editor) -> None:
    if expires_at is not None and expires_at <= by.at:
        raise BadInput("a key must not be over already when it is made: revoke it instead", field="expires_at")


async def _keep_one_admin(tx: WriteTx, key: Key) -> None:
    """Raise Conflict for the last admin key that never ends: nobody could create another."""
    is_last = key.kind is KeyKind.ADMIN and key.expires_at is None and await keys.count_living(tx, KeyKind.ADMIN) == 1
    if is_last:
        raise Conflict("this is the last admin key; create another first", code="last_admin_key")


async def _check_rights(tx: WriteTx, wanted: NewKey) -> tuple[str, ...] | None:
    """Return the customers of a key of kind access. Raises BadInput for rights that its kind cannot have."""
    if wanted.kind is not KeyKind.ACCESS:
        if wanted.role is not None:
            raise BadInput("only a key of kind access has a role", field="role")
        if wanted.customers is not None:
            raise BadInput("only a key of kind access has customers", field="customers")
        return None
    if wanted.role is None:
        raise BadInput("a key of kind access needs a role", field="role")
    return await check_customers(tx, wanted.role, wanted.customers)


async def _owner(tx: WriteTx, kind: KeyKind, customer_id: str | None, agent_id: str | None) -> str | None:
    """Check to whom the key will belong, and return the customer that goes with it. Raises BadInput."""
    if kind is KeyKind.AGENT:
        agent = None if agent_id is None else await AGENTS.find(tx, agent_id)
        if agent is None:
            raise BadInput("an agent's key needs the id of its agent", code="unknown_agent", field="agent_id")
        return agent.customer_id
    if agent_id is not None:
        raise BadInput("only a key of kind agent belongs to an agent", field="agent_id")
    if kind is KeyKind.ENROL and customer_id is None:
        raise BadInput("an enrolment key needs a customer, to which its new agents belong", field="customer_id")
    if kind not in (KeyKind.ENROL, KeyKind.MONITOR) and customer_id is not None:
        # A key that looks like one customer's and reads all of them would be a leak.
        raise BadInput(f"a key of kind {kind} applies to every customer: leave customer_id out", field="customer_id")
    await check_customer(tx, customer_id)
    return customer_id
