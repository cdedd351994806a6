"""Canaries that arrived."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial

from app.core import metrics
from app.core.log import log
from app.domain.canary import Canary, CanaryState, arrival_of, hops_of
from app.store import canaries
from app.store.transactions import WriteTx


async def canary_arrived(tx: WriteTx, canary_id: str, arrived_at: datetime, received_headers: Sequence[str]) -> None:
    """Note that a canary arrived, and by which servers: `received_headers` are its Received headers, the newest first.

    A late one closes the alert about its way. One that arrives twice, after an attempt that ended unknown, counts once.
    """
    canary = await canaries.CANARIES.find(tx, canary_id, for_change=True)
    if canary is None:
        log.warning("a canary mail arrived that this database does not know: was it put back?", canary=canary_id)
        return
    if canary.state is CanaryState.ARRIVED:
        return
    seconds = max(0.0, (arrived_at - canary.sent_at).total_seconds())  # the clock of the mail server may be behind ours
    arrived = replace(
        canary,
        state=CanaryState.ARRIVED,
        arrived_at=arrived_at,
        seconds=seconds,
        hops=hops_of(received_headers),
        is_reported=False,
    )
    await canaries.CANARIES.save_state(tx, canary, arrived)
    await canaries.close_alert(tx, canary.transport, canary.relay_id, arrival_of(arrived), arrived_at, also=canary)
    tx.after_commit(partial(_count, arrived))


def _count(arrived: Canary) -> None:
    metrics.CANARY_SECONDS.labels(arrived.transport).observe(arrived.seconds or 0.0)
    was_lost = {} if arrived.why is None else {"was_lost": arrived.why}
    log.info("a canary mail arrived", way=arrived.name, canary=arrived.id, seconds=arrived.seconds, **was_lost)
