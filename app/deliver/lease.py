"""The door by which messages go out, to our worker and to a relay alike: leased for a while, begun before they are sent.

Whoever holds a lease may send, once, after the attempt was begun here; it renews the lease while it needs it. What became of
the message comes back through `settle`.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from app.core.ids import new_id
from app.domain.attempt import Attempt
from app.domain.lease import Claim, Held, Leased
from app.store import attempts, outbox
from app.store.transactions import WriteTx


async def lease(tx: WriteTx, transport: str, limit: int, now: datetime, holder: str, until: datetime) -> list[Leased]:
    """Claim up to `limit` due messages of `transport` for `holder` until `until`, the most urgent first."""
    return await outbox.lease(tx, transport, limit, now, holder, until)


async def begin(tx: WriteTx, claims: Sequence[Claim], now: datetime) -> frozenset[str]:
    """Write that attempts start now; give the ids of those messages that may be sent. Send nothing before this is committed."""
    return await begin_all(tx, claims, await outbox.lock(tx, [claim.message_id for claim in claims]), now)


async def begin_all(tx: WriteTx, claims: Sequence[Claim], held: Mapping[str, Held], now: datetime) -> frozenset[str]:
    """As `begin`, for messages that are locked already.

    Refused: a lease that was lost or ran out, or under which an attempt was begun before. A worker that slept past its lease
    would otherwise send what another one is sending.
    """
    begun = []
    for claim in claims:
        one = held.get(claim.message_id)
        if (
            one is None
            or one.attempt_id is not None
            or one.message.lease_token != claim.token
            or (one.message.lease_until or now) <= now
        ):
            continue
        message = one.message
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
    await attempts.insert_attempts(tx, begun)
    return frozenset(one.message_id for one in begun)


async def renew(tx: WriteTx, claims: Collection[Claim], until: datetime) -> frozenset[str]:
    """Prolong leases; give the ids of those messages that are still held. Whoever finds one missing must not begin it."""
    return await outbox.renew(tx, claims, until) if claims else frozenset()


async def give_back(tx: WriteTx, claims: Collection[Claim]) -> int:
    """Put back what was leased and not begun, for others to send."""
    return await outbox.give_back(tx, claims) if claims else 0
