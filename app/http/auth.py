"""Authentication: keys, checked against their hashes. It must never log, keep or compare a key itself."""

import asyncio
import contextlib
import hmac
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, TypeVar

from fastapi import Request, Security
from fastapi.security import APIKeyHeader, HTTPBearer
from starlette.types import Scope

from app.context import AppContext
from app.core.errors import NotAllowed, NotLetIn, TocsinError, WrongScope
from app.core.log import log
from app.core.periodic import keep_repeating, run_in_background
from app.domain.enrolment import EnrolmentLimits
from app.domain.key import KeyKind
from app.domain.person import Role
from app.intake.budgets import SenderKey, sender_key
from app.intake.enrol import EnrolmentRefusals
from app.intake.validate import Sender
from app.store import keys

FRESH_S = 2.0  # after this, a key is looked up again
EXPIRED_S = 4.0  # an older answer is never used, so that a revoked key is refused within 5 s on every host
TOUCH_S = 60.0
KNOWN_MOST = 10_000
UNKNOWN_MOST = 1_000  # bounds the memory for wrong keys, however many somebody tries
KEY_LONGEST = 500
_T = TypeVar("_T")


@dataclass(frozen=True)
class Caller:
    """The holder of a key. `customer_id` None means every customer; `agent_id` and `agent_name` are set for an agent's own key."""

    key_id: str
    kind: KeyKind
    name: str
    customer_id: str | None
    agent_id: str | None
    agent_name: str | None = None
    job: str | None = None
    relay_id: str | None = None
    limits: EnrolmentLimits | None = None
    budgets: SenderKey | None = None
    role: Role | None = None
    customers: tuple[str, ...] | None = None

    def sees(self, customer_id: str | None) -> bool:
        """Say whether the key may see what belongs to a customer. What belongs to none is only for keys of every customer."""
        return self.customers is None or (customer_id is not None and customer_id in self.customers)

    def has_role(self, least: Role) -> bool:
        """Say whether the key may do what needs at least this role. The kinds admin and viewer are the roles owner and reader."""
        match self.kind:
            case KeyKind.ADMIN:
                return True
            case KeyKind.VIEWER:
                return least is Role.READER
            case KeyKind.ACCESS:
                return self.role is not None and self.role.covers(least)
            case _:
                return False

    @cached_property
    def sender(self) -> Sender:
        """Whose events this caller reports. Raises WrongScope for a key of no customer."""
        if self.customer_id is None:
            raise WrongScope("this key belongs to no customer, so its events would belong to nobody")
        return Sender(self.customer_id, self.agent_id, self.agent_name, self.limits, self.budgets)


def require_kind(caller: Caller, kinds: Collection[KeyKind]) -> None:
    """Raise WrongScope unless the key is of one of these kinds."""
    if caller.kind not in kinds:
        raise WrongScope(
            f"this needs a key of kind {' or '.join(sorted(kinds))}, and this one is of kind {caller.kind}"
        )


@dataclass(slots=True)
class _Known:
    caller: Caller
    fresh_until: float
    expires_at: float


class KeyAuthenticator:
    """Checks keys. It remembers an answer for a few seconds, so that not every request queries the database."""

    def __init__(self, context: AppContext, refusals: EnrolmentRefusals | None = None) -> None:
        self._context = context
        self._refusals = refusals or EnrolmentRefusals(context)
        self._known: dict[str, _Known] = {}
        self._unknown: dict[str, float] = {}
        self._keys = _StoredKeys(context)
        self._used: dict[str, str | None] = {}  # the address of each key's last client
        self._generation = 0

    async def admit(self, key: str, address: str | None = None) -> Caller:
        """Return the holder of a key that a client with this address sent.

        Raises NotAllowed; NotLetIn if the key is for other addresses; Unavailable if the database cannot be reached.
        """
        return self.remembered(key, address) or await self.look_up(key, address)

    def remembered(self, key: str, address: str | None) -> Caller | None:
        """Do what `admit` does without waiting. Return None if the caller of this function is to look the key up."""
        if not key or len(key) > KEY_LONGEST:
            raise NotAllowed("there is no key in the request" if not key else "this key is not known")
        known = self._known.get(self._context.secret.hash_key(key))
        if known is None:
            return None
        now = time.monotonic()
        if now >= known.fresh_until:
            # Only one request looks it up; the others use the old answer until it expires.
            known.fresh_until = known.expires_at
            return None
        caller = known.caller
        self._used[caller.key_id] = address
        if caller.limits is not None:
            self._refuse_address(caller, address)
        return caller

    async def look_up(self, key: str, address: str | None) -> Caller:
        """Read the holder of a key from the database. Raises what `admit` does."""
        caller = await self._look_up(self._context.secret.hash_key(key), address)
        self._refuse_address(caller, address)
        return caller

    def _refuse_address(self, caller: Caller, address: str | None) -> None:
        """Raise NotLetIn if the key is for other addresses."""
        if caller.limits is not None and (refusal := caller.limits.refuse_address(address)) is not None:
            self._refusals.note(caller.limits, refusal)
            raise NotLetIn(refusal.detail, code=refusal.rule)

    async def admit_as(self, key: str, kinds: Collection[KeyKind], address: str | None = None) -> Caller:
        """Return the holder of a key of one of these kinds. Raises WrongScope, and as `admit` does."""
        caller = await self.admit(key, address)
        require_kind(caller, kinds)
        return caller

    def forget(self) -> None:
        """Look up every key again. Called after the commit when this process creates or revokes a key, so that it holds at once."""
        self._generation += 1
        self._known.clear()
        self._unknown.clear()

    async def _look_up(self, key_hash: str, address: str | None) -> Caller:
        generation, now = self._generation, time.monotonic()
        if self._unknown.get(key_hash, 0.0) > now:
            raise NotAllowed("this key is not known")
        stored = await self._keys.find(key_hash)
        found = None if stored is None else stored.read(key_hash, self._context.clock())
        if found is None or not hmac.compare_digest(found[1], key_hash):
            self._known.pop(key_hash, None)
            _remember(self._unknown, key_hash, now + FRESH_S, UNKNOWN_MOST)
            raise NotAllowed("this key is not known")
        key, _, ends_at = found
        lasts = EXPIRED_S if ends_at is None else min(EXPIRED_S, (ends_at - self._context.clock()).total_seconds())
        caller = Caller(
            key.id,
            key.kind,
            key.name,
            key.customer_id,
            key.agent_id,
            key.agent_name,
            key.job,
            key.relay_id,
            key.limits,
            sender_key(key, self._context.settings),
            key.role,
            key.customers,
        )
        if generation == self._generation:  # otherwise a key was revoked during the look-up
            _remember(self._known, key_hash, _Known(caller, now + min(FRESH_S, lasts), now + lasts), KNOWN_MOST)
        self._used[caller.key_id] = address
        return caller

    @contextlib.asynccontextmanager
    async def recording_use(self) -> AsyncIterator[None]:
        """While the block runs, write `last_used_at` once a minute and at the end, so that no request waits for it."""
        try:
            async with run_in_background(keep_repeating(self._touch, name="use of keys", every=TOUCH_S)):
                yield
        finally:
            await self._touch()

    async def _touch(self) -> None:
        used, self._used = self._used, {}
        if not used:
            return
        try:
            async with self._context.database.write() as tx:
                await keys.touch_keys(tx, used, self._context.clock())
        except TocsinError as cause:  # only a date that people look at is lost
            log.warning("could not store when keys were last used", cause=cause.detail)


class _StoredKeys:
    """Reads the keys that were asked for while the read before ran, all at once.

    When 50 customers report at the same moment, 50 reads took a tenth of a second, and the first failure waited for them.
    """

    def __init__(self, context: AppContext) -> None:
        self._context = context
        self._asked: dict[str, asyncio.Future[keys.StoredKey | None]] = {}
        self._one_at_a_time = asyncio.Lock()

    async def find(self, key_hash: str) -> keys.StoredKey | None:
        """Return the key with this hash, read after this call. Raises Unavailable."""
        answer = self._asked.setdefault(key_hash, asyncio.get_running_loop().create_future())
        async with self._one_at_a_time:
            if not answer.done():
                asked, self._asked = {**self._asked, key_hash: answer}, {}
                await self._answer(asked)
        return answer.result()

    async def _answer(self, asked: dict[str, "asyncio.Future[keys.StoredKey | None]"]) -> None:
        try:
            async with self._context.database.read() as tx:
                found = await keys.find_by_hash(tx, asked)
        except Exception as cause:  # noqa: BLE001  (each of those who asked raises it)
            for answer in asked.values():
                answer.set_exception(cause)
                answer.exception()  # or asyncio would log it where its caller is gone
        except BaseException:  # this request was cancelled: the next one reads for the others
            self._asked = asked | self._asked
            raise
        else:
            for key_hash, answer in asked.items():
                answer.set_result(found.get(key_hash))


def _remember(where: dict[str, _T], key_hash: str, what: _T, most: int) -> None:
    where.pop(key_hash, None)
    if len(where) >= most:
        where.pop(next(iter(where)))  # the oldest
    where[key_hash] = what


_bearer = HTTPBearer(auto_error=False, scheme_name="key", description="A key, as `Authorization: Bearer tocsin_...`.")
_header = APIKeyHeader(
    name="X-Tocsin-Key",
    auto_error=False,
    scheme_name="key_header",
    description="The same key, for programs that cannot send a bearer token.",
)
SECURITY: list[dict[str, list[str]]] = [{"key": []}, {"key_header": []}]


async def caller_of(request: Request, kinds: frozenset[KeyKind]) -> Caller:
    """Return the request's caller if its key is of one of these kinds. Raises NotAllowed, WrongScope."""
    authenticator: KeyAuthenticator = request.app.state.authenticator
    key = key_in(request.headers.get("authorization", ""), request.headers.get("x-tocsin-key", ""))
    return await authenticator.admit_as(key, kinds, address_of(request.scope))


def address_of(scope: Scope) -> str | None:
    """Return the address of a request's client: of its connection, or what a trusted proxy says (TOCSIN_TRUSTED_PROXIES)."""
    client = scope.get("client")
    return None if client is None else str(client[0])


def need(*kinds: KeyKind) -> Callable[..., Awaitable[Caller]]:
    """Return a dependency that accepts only keys of these kinds, and returns the caller."""
    wanted = frozenset(kinds)

    async def dependency(
        request: Request,
        _by_bearer: Annotated[object, Security(_bearer)],
        _by_header: Annotated[object, Security(_header)],
    ) -> Caller:
        return await caller_of(request, wanted)

    return dependency


@dataclass(frozen=True)
class NeedRole:
    """A dependency that accepts keys of at least this role, and those of the kinds `also`. Raises NotAllowed, WrongScope.

    A key of chosen customers is refused unless the operation shows and changes only what these customers have (`is_scoped`).
    The table of rights (docs/rights.md) is read from these objects.
    """

    least: Role
    also: frozenset[KeyKind] = frozenset()
    is_scoped: bool = False

    async def __call__(
        self,
        request: Request,
        _by_bearer: Annotated[object, Security(_bearer)],
        _by_header: Annotated[object, Security(_header)],
    ) -> Caller:
        """Return the caller."""
        authenticator: KeyAuthenticator = request.app.state.authenticator
        key = key_in(request.headers.get("authorization", ""), request.headers.get("x-tocsin-key", ""))
        caller = await authenticator.admit(key, address_of(request.scope))
        if caller.kind not in self.also and not caller.has_role(self.least):
            raise WrongScope(f"this needs a key with the role {self.least}, and this one is of kind {caller.kind}")
        if caller.customers is not None and not self.is_scoped:
            raise WrongScope("this is about more than the customers of this key")
        return caller


def key_in(authorization: str, header: str) -> str:
    """Return the key of a request, from a bearer token or our own header; empty if there is none."""
    scheme, _, key = authorization.partition(" ")
    return key.strip() if scheme.lower() == "bearer" else header
