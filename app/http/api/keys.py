"""Keys over HTTP: created and shown once, listed, changed, revoked."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Query, Response
from pydantic import AwareDatetime, Field, StringConstraints
from starlette.status import HTTP_201_CREATED, HTTP_204_NO_CONTENT

from app.admin import keys as admin_keys
from app.domain.budget import BUDGET_MOST, BYTES_MOST, OF_KEYS
from app.domain.key import Key, KeyForm, KeyKind
from app.domain.person import Role
from app.http.api.dependencies import Authenticator, Context, Owner, Reader, editor_of, problems
from app.http.api.fields import (
    Id,
    Name,
    OnlyCustomer,
    OutId,
    OutModel,
    PathId,
    StrictModel,
    Version,
    example,
    left_out,
    merged,
)
from app.http.etag import IfMatch, put_etag
from app.http.paging import Paged, PageOut
from app.store.keys import KEYS, page_keys

router = APIRouter(prefix="/v1/keys", tags=["keys"])

_KIND = (
    "enrol: sends events and creates agents; agent: sends the events of its own agent; "
    "access: this API with a role, for every customer or chosen ones; admin, viewer: the same as the roles owner and reader; relay: the Windows relay; monitor: reads the states of jobs (`/v1/status`, `/metrics/jobs`), nothing else."
)
_ROLE = "Of access: reader, operator (alerts and messages), administrator (edits), or owner (keys, too)."
_CUSTOMERS = "Of access: the customers whose things it may see and change, for operations that are about one customer. Null: all."
_EXPIRES = "When it ends; null: never."
_NAME = "Who has it; the audit log shows this name."
_JOB = "Of enrol and agent: the job of a tool that cannot name one, at `/in/...` addresses."
_NAMES = (
    "Of enrol: it sends events only of agents whose names are like one of these, with `*` and `?`; case does not matter. "
    "Empty: of all."
)
_FROM = "Of enrol: it is accepted only from these networks (`10.1.0.0/16`) or addresses. Empty: from everywhere."
_MOST = "Of enrol: how many agents it lets in; those that were deleted or rejected do not count. Null: any number."
_UNTIL = "Of enrol: until when it lets in agents that are unknown; those that it let in go on reporting. Null: always."
_APPROVE = "Of enrol: whether an agent that it lets in waits until an administrator approves it."
_BUDGET = "Of enrol and agent: {what}; beyond it, what is not a failure is answered 429. Null: as the setting `{setting}` says."
_EVENTS = _BUDGET.format(what="how many events it may send in a minute", setting="key_events_a_minute")
_AGENTS = _BUDGET.format(what="how many agents it may create in an hour", setting="key_new_agents_an_hour")
_JOBS = _BUDGET.format(what="how many jobs it may create in an hour", setting="key_new_jobs_an_hour")
_BYTES = _BUDGET.format(what="how many bytes of reports it may send in a day (UTC)", setting="key_bytes_a_day")
_Address = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=64)]

KeyName = Annotated[Name, Field(description=_NAME, examples=["Acme, all hosts"])]
Names = Annotated[list[Name], Field(max_length=50, description=_NAMES, examples=[["acme-*"]])]
FromAddresses = Annotated[list[_Address], Field(max_length=50, description=_FROM, examples=[["10.1.0.0/16"]])]
AgentsMost = Annotated[int | None, Field(ge=1, le=1_000_000, description=_MOST)]
AgentsUntil = Annotated[AwareDatetime | None, Field(description=_UNTIL)]
Approve = Annotated[bool, Field(description=_APPROVE)]
EventsAMinute = Annotated[int | None, Field(ge=1, le=BUDGET_MOST, description=_EVENTS)]
NewAgentsAnHour = Annotated[int | None, Field(ge=1, le=BUDGET_MOST, description=_AGENTS)]
NewJobsAnHour = Annotated[int | None, Field(ge=1, le=BUDGET_MOST, description=_JOBS)]
BytesADay = Annotated[int | None, Field(ge=1, le=BYTES_MOST, description=_BYTES)]

ExpiresAt = Annotated[AwareDatetime | None, Field(description=_EXPIRES)]


class KeyCreate(
    StrictModel,
    json_schema_extra=example(kind="enrol", name="Acme, all hosts", customer_id="cus_0193a5f2c4d10123456789abcdef0123"),
):
    """A key to create."""

    kind: Annotated[KeyKind, Field(description=_KIND)]
    name: KeyName
    customer_id: Id | None = Field(
        None,
        description="Required for kind enrol: the customer of new agents. Optional for kind monitor: only the jobs of this customer can be read. Not allowed for other kinds.",
    )
    agent_id: Id | None = Field(None, description="Needed for agent. For no other kind.")
    relay_id: Id | None = Field(None, description="Needed for relay. For no other kind.")
    job: Name | None = Field(None, description=_JOB)
    names: Names = Field(default_factory=list)
    from_addresses: FromAddresses = Field(default_factory=list)
    agents_most: AgentsMost = None
    agents_until: AgentsUntil = None
    approve: Approve = False
    events_a_minute: EventsAMinute = None
    new_agents_an_hour: NewAgentsAnHour = None
    new_jobs_an_hour: NewJobsAnHour = None
    bytes_a_day: BytesADay = None
    role: Annotated[Role | None, Field(description=_ROLE)] = None
    customers: Annotated[list[Id] | None, Field(min_length=1, max_length=1000, description=_CUSTOMERS)] = None
    expires_at: ExpiresAt = None
    form: Annotated[
        KeyForm,
        Field(description="How it looks: some tools accept only a uuid, or only letters and digits, in an address."),
    ] = KeyForm.TOCSIN


class KeyOut(OutModel):
    """A key, without the key itself."""

    id: OutId
    version: Version
    kind: KeyKind = Field(description=_KIND)
    name: str = Field(description=_NAME)
    hint: str = Field(description="Its beginning, to tell keys apart.")
    customer_id: str | None = Field(description="The customer to which it belongs; null: to none alone.")
    agent_id: str | None = Field(description="The agent to which it belongs.")
    relay_id: str | None = Field(description="The relay to which it belongs.")
    job: str | None = Field(description=_JOB)
    names: list[str] = Field(description=_NAMES)
    from_addresses: list[str] = Field(description=_FROM)
    agents_most: int | None = Field(description=_MOST)
    agents_until: datetime | None = Field(description=_UNTIL)
    approve: bool = Field(description=_APPROVE)
    events_a_minute: int | None = Field(description=_EVENTS)
    new_agents_an_hour: int | None = Field(description=_AGENTS)
    new_jobs_an_hour: int | None = Field(description=_JOBS)
    bytes_a_day: int | None = Field(description=_BYTES)
    role: Role | None = Field(description=_ROLE)
    customers: list[str] | None = Field(description=_CUSTOMERS)
    expires_at: datetime | None = Field(description=_EXPIRES)
    previous_until: datetime | None = Field(
        description="Until when the secret before the last rotation works; null: it was never rotated."
    )
    refused_count: int = Field(description="How many events and requests its limits refused.")
    refused_at: datetime | None = Field(description="When they last refused one; null: never.")
    refused_why: str | None = Field(description="Why they did.")
    created_at: datetime = Field(description="When it was created.")
    last_used_at: datetime | None = Field(description="When it was last used, to the minute; null: never.")
    last_used_from: str | None = Field(description="The address from which it was last used.")
    revoked_at: datetime | None = Field(description="When it was revoked; null: it is in force.")


class KeyUpdate(StrictModel, json_schema_extra=example(events_a_minute=600, agents_until="2027-01-31T00:00:00Z")):
    """The name and the limits of a key to change; a field that is left out stays as it is."""

    name: KeyName = left_out()
    names: Names = left_out()
    from_addresses: FromAddresses = left_out()
    agents_most: AgentsMost = left_out()
    agents_until: AgentsUntil = left_out()
    approve: Approve = left_out()
    events_a_minute: EventsAMinute = left_out()
    new_agents_an_hour: NewAgentsAnHour = left_out()
    new_jobs_an_hour: NewJobsAnHour = left_out()
    bytes_a_day: BytesADay = left_out()
    expires_at: ExpiresAt = left_out()

    def applied_to(self, key: Key) -> Key:
        """Return the key with the fields that were sent. Raises RequestValidationError."""
        whole = merged(KeyCreate, KeyOut.of(key), self)
        return replace(
            key,
            name=whole.name,
            names=tuple(whole.names),
            from_addresses=tuple(whole.from_addresses),
            agents_most=whole.agents_most,
            agents_until=whole.agents_until,
            approve=whole.approve,
            events_a_minute=whole.events_a_minute,
            new_agents_an_hour=whole.new_agents_an_hour,
            new_jobs_an_hour=whole.new_jobs_an_hour,
            bytes_a_day=whole.bytes_a_day,
            expires_at=whole.expires_at,
        )


class KeyPage(PageOut[KeyOut]):
    """A page of keys."""


class KeyCreated(KeyOut):
    """A key that was just created."""

    key: str = Field(description="The key itself. Nobody can see it again.")


class KeyRotate(StrictModel, json_schema_extra=example(overlap_hours=24)):
    """How long the old secret works, too. The body may be left out."""

    overlap_hours: Annotated[int, Field(ge=0, le=720, description="Hours in which both secrets work.")] = 24
    form: Annotated[KeyForm, Field(description="How the new secret looks.")] = KeyForm.TOCSIN


class KeysQuery(Paged):
    """Filters of the list of keys."""

    kind: Annotated[KeyKind | None, Field(description="Only keys of this kind.")] = None
    customer_id: OnlyCustomer = None
    agent_id: Annotated[Id | None, Field(description="Only keys of this agent.")] = None
    relay_id: Annotated[Id | None, Field(description="Only keys of this relay.")] = None
    revoked: Annotated[bool | None, Field(description="Only revoked keys, or only those in force.")] = None


@router.get("", operation_id="list_keys", summary="List keys", responses=problems())
async def list_keys(query: Annotated[KeysQuery, Query()], context: Context, _caller: Reader) -> KeyPage:
    """Return keys in the order of their creation, revoked ones too."""
    async with context.database.read() as tx:
        page = await page_keys(
            tx,
            query.window(KEYS.prefix),
            kind=query.kind,
            customer_id=query.customer_id,
            agent_id=query.agent_id,
            relay_id=query.relay_id,
            is_revoked=query.revoked,
        )
    return KeyPage.of(page)


@router.get("/{key_id}", operation_id="get_key", summary="Get a key", responses=problems(404, 409))
async def get_key(key_id: PathId, response: Response, context: Context, _caller: Reader) -> KeyOut:
    """Return one key, without the key itself."""
    async with context.database.read() as tx:
        key = await KEYS.get(tx, key_id)
    put_etag(response, key.version)
    return KeyOut.of(key)


@router.post("", operation_id="create_key", summary="Create a key", status_code=HTTP_201_CREATED, responses=problems())
async def create_key(
    body: KeyCreate, response: Response, context: Context, authenticator: Authenticator, caller: Owner
) -> KeyCreated:
    """Create a key. The answer shows it, once."""
    wanted = admin_keys.NewKey(
        kind=body.kind,
        name=body.name,
        customer_id=body.customer_id,
        agent_id=body.agent_id,
        relay_id=body.relay_id,
        job=body.job,
        form=body.form,
        names=tuple(body.names),
        from_addresses=tuple(body.from_addresses),
        agents_most=body.agents_most,
        agents_until=body.agents_until,
        approve=body.approve,
        role=body.role,
        customers=None if body.customers is None else tuple(body.customers),
        expires_at=body.expires_at,
        budgets={budget: limit for budget in OF_KEYS if (limit := getattr(body, budget.value)) is not None},
    )
    async with context.database.write() as tx:
        key, clear = await admin_keys.create_key(tx, context.secret, wanted, editor_of(context, caller))
        tx.after_commit(authenticator.forget)
    response.headers["Location"] = f"/v1/keys/{key.id}"
    put_etag(response, key.version)
    return KeyCreated(**KeyOut.of(key).model_dump(), key=clear)


@router.patch("/{key_id}", operation_id="update_key", summary="Update a key", responses=problems(404, 409, 412))
async def update_key(
    key_id: PathId,
    body: KeyUpdate,
    response: Response,
    context: Context,
    authenticator: Authenticator,
    caller: Owner,
    versions: IfMatch,
) -> KeyOut:
    """Replace the fields that are sent; the others stay as they are. The change applies at once on this host, within five seconds on others."""
    async with context.database.write() as tx:
        by = editor_of(context, caller)
        key = await admin_keys.update_key(tx, key_id, body.applied_to, by, versions=versions)
        tx.after_commit(authenticator.forget)
    put_etag(response, key.version)
    return KeyOut.of(key)


@router.post(
    "/{key_id}:rotate",
    operation_id="rotate_key",
    summary="Rotate a key",
    responses=problems(404, 409),
)
async def rotate_key(
    key_id: PathId,
    response: Response,
    context: Context,
    authenticator: Authenticator,
    caller: Owner,
    body: KeyRotate | None = None,
) -> KeyCreated:
    """Replace the secret of a key by a new one, which the answer shows, once. The old one works for some hours more, until it is replaced everywhere."""
    wanted, by = body or KeyRotate(), editor_of(context, caller)
    overlap = timedelta(hours=wanted.overlap_hours)
    async with context.database.write() as tx:
        key, clear = await admin_keys.rotate_key(tx, context.secret, key_id, overlap, wanted.form, by)
        tx.after_commit(authenticator.forget)
    put_etag(response, key.version)
    return KeyCreated(**KeyOut.of(key).model_dump(), key=clear)


@router.delete(
    "/{key_id}",
    operation_id="revoke_key",
    summary="Revoke a key",
    status_code=HTTP_204_NO_CONTENT,
    responses=problems(404, 409, 412),
)
async def revoke_key(
    key_id: PathId, context: Context, authenticator: Authenticator, caller: Owner, versions: IfMatch
) -> None:
    """Revoke a key: at once here, within five seconds on other hosts. It stays listed. The last admin key stays (409)."""
    async with context.database.write() as tx:
        await admin_keys.revoke_key(tx, key_id, editor_of(context, caller), versions=versions)
        tx.after_commit(authenticator.forget)
