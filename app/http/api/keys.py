"""Keys over HTTP: made and shown once, listed, revoked."""

from datetime import datetime

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field
from starlette.status import HTTP_201_CREATED, HTTP_204_NO_CONTENT

from app.admin import keys
from app.domain.key import KeyForm, KeyKind
from app.http.api.dependencies import Admin, Context, editor_of, problems
from app.http.api.fields import Id, Name, PathId, StrictModel
from app.http.api.readable import Readable, add_get, add_list
from app.http.auth import KeyAuthenticator
from app.http.paging import Paged
from app.store.history import KEYS


class KeyIn(StrictModel):
    """A key as it is asked for."""

    kind: KeyKind = Field(
        description="enrol: sends events and creates agents; agent: sends its own agent's; admin, viewer: this API; relay: the Windows relay."
    )
    name: Name = Field(description="Who has it; the audit log calls its holder so.", examples=["Acme, all hosts"])
    customer_id: Id | None = Field(None, description="Needed for enrol: whose the new agents are. For no other kind.")
    agent_id: Id | None = Field(None, description="Needed for agent. For no other kind.")
    relay_id: Id | None = Field(None, description="Needed for relay. For no other kind.")

    job: Name | None = Field(
        None, description="Of enrol and agent: what a tool speaks of that cannot name a job, in `/in/...` addresses."
    )
    form: KeyForm = Field(
        KeyForm.TOCSIN,
        description="How it looks: some tools take only a uuid, or only letters and digits, in an address.",
    )


class Key(BaseModel):
    """A key as it can be seen."""

    id: str
    kind: KeyKind
    name: str
    hint: str = Field(description="Its beginning, to tell keys apart.")
    customer_id: str | None
    agent_id: str | None
    relay_id: str | None
    job: str | None
    created_at: datetime
    last_used_at: datetime | None
    revoked_at: datetime | None


class NewKey(Key):
    """A key just made."""

    key: str = Field(description="The key itself. Nobody can see it again.")


class KeysQuery(Paged):
    """What the list can be asked."""

    kind: KeyKind | None = None
    customer_id: Id | None = None
    agent_id: Id | None = None
    relay_id: Id | None = None
    revoked: bool | None = None


router = APIRouter(prefix="/v1/keys", tags=["keys"])
_keys = Readable("keys", "key", KEYS, KeysQuery, Key, Key)
add_list(router, _keys)
add_get(router, _keys)


@router.post("", summary="Make a key", status_code=HTTP_201_CREATED, responses=problems())
async def create_key(given: KeyIn, request: Request, response: Response, context: Context, caller: Admin) -> NewKey:
    """Make a key. The answer shows it, once."""
    async with context.database.write() as tx:
        made, clear = await keys.create(
            tx, context.secret, keys.NewKey(**given.model_dump()), editor_of(context, caller)
        )
        tx.after_commit(_authenticator(request).forget)
    response.headers["Location"] = f"/v1/keys/{made.id}"
    seen = Key.model_validate(made, from_attributes=True)
    return NewKey(**seen.model_dump(), key=clear)


@router.delete("/{thing_id}", summary="Revoke a key", status_code=HTTP_204_NO_CONTENT, responses=problems(404, 409))
async def revoke_key(thing_id: PathId, request: Request, context: Context, caller: Admin) -> None:
    """End it at once here, and within five seconds on other hosts; it stays listed. The last admin key stays (409)."""
    async with context.database.write() as tx:
        await keys.revoke(tx, thing_id, editor_of(context, caller))
        tx.after_commit(_authenticator(request).forget)


def _authenticator(request: Request) -> KeyAuthenticator:
    authenticator: KeyAuthenticator = request.app.state.authenticator
    return authenticator
