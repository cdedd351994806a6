"""Leases messages, for our worker and for relays alike: a message is leased for a while, and an attempt is begun before it is sent.

The holder of a lease may send once, after its attempt was written here, and renews the lease as long as it needs it. The
outcome comes back through `settle`.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType

from app.core.ids import new_id
from app.deliver.program_parcels import complete_parcels
from app.domain.attempt import Attempt
from app.domain.lease import Claim, Leased
from app.domain.message import takes_json
from app.store import outbox, outbox_at_once
from app.store.transactions import WriteTx


async def lease(tx: WriteTx, transport: str, limit: int, now: datetime, holder: str, until: datetime) -> list[Leased]:
    """Lease up to `limit` due messages of `transport` to `holder` until `until`, the most urgent first."""
    return await outbox.lease(tx, transport, limit, now, holder, until)


async def lease_and_begin(
    tx: WriteTx,
    transport: str,
    limit: int,
    now: datetime,
    holder: str,
    until: datetime,
    *,
    per_address: int | None = None,
    busy: Mapping[str, int] = MappingProxyType({}),
) -> list[Leased]:
    """Lease up to `limit` due messages and write that an attempt at each starts now. Send nothing before this is committed.

    With `per_address`, no more than so many are being sent to one address, of which `busy` are already.
    """
    if not (takes_json(transport) or tx.is_sqlite):
        return await outbox_at_once.lease_and_begin(tx, transport, limit, now, holder, until)
    if per_address is None:
        leased = await outbox.lease(tx, transport, limit, now, holder, until)
    else:
        leased = await outbox.lease_fairly(tx, transport, limit, now, holder, until, per_address=per_address, busy=busy)
    begun = [
        Attempt(
            id=new_id("att"),
            message_id=one.claim.message_id,
            number=one.attempts + 1,
            holder=holder,
            token=one.claim.token,
            started_at=now,
        )
        for one in leased
    ]
    await outbox.insert_attempts(tx, begun)
    return await complete_parcels(tx, leased) if takes_json(transport) else leased


async def begin(tx: WriteTx, claims: Sequence[Claim], now: datetime) -> frozenset[str]:
    """Write that attempts start now, and return the ids of the messages that may be sent. Send nothing before this is committed.

    A claim is refused if its lease was lost or has expired, or if an attempt was begun under it before: a worker that was
    suspended past its lease would otherwise send what another one is sending.
    """
    locked = await outbox.lock(tx, [claim.message_id for claim in claims])
    begun = []
    for claim in claims:
        held = locked.get(claim.message_id)
        if (
            held is None
            or held.attempt_id is not None
            or held.message.lease_token != claim.token
            or (held.message.lease_until or now) <= now
        ):
            continue
        message = held.message
        begun.append(
            Attempt(
                id=new_id("att"),
                message_id=message.id,
                number=message.attempts + 1,
                holder=message.lease_holder or "",
                token=claim.token,
                started_at=now,
            )
        )
    await outbox.insert_attempts(tx, begun)
    return frozenset(attempt.message_id for attempt in begun)


async def renew(tx: WriteTx, claims: Collection[Claim], until: datetime) -> frozenset[str]:
    """Prolong leases, and return the ids of the messages that are still held. The caller must not begin any of the others."""
    return await outbox.renew(tx, claims, until) if claims else frozenset()


async def give_back(tx: WriteTx, claims: Collection[Claim]) -> int:
    """Return messages that were leased and not begun to the queue."""
    return await outbox.give_back(tx, claims) if claims else 0
