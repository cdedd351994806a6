"""Canaries that arrived."""

import email
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial

from app.context import AppContext
from app.core import metrics
from app.core.log import log
from app.domain.canary import Canary, CanaryState, arrival_of, hops_of
from app.domain.summary_numbers import HEADER, MOST, PURPOSE, read_numbers
from app.store import canaries
from app.store.summaries import jump_ahead
from app.store.transactions import WriteTx


async def canary_arrived(tx: WriteTx, canary_id: str, arrived_at: datetime, received_headers: Sequence[str]) -> bool:
    """Note that a canary arrived, and by which servers: `received_headers` are its Received headers, the newest first.

    Returns False for a canary that the database does not know. A late one closes the alert about its way. One that arrives twice, after an attempt that ended unknown, counts once.
    """
    canary = await canaries.CANARIES.find(tx, canary_id, for_change=True)
    if canary is None:
        return False
    if canary.state is CanaryState.ARRIVED:
        return True
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
    return True


async def unknown_canary_arrived(context: AppContext, tx: WriteTx, raw: bytes) -> str:
    """Read the summary numbers in a canary. If the database has lower ones, continue after those of the canary. Return what was done, in words.

    Its address was signed by us, so it was sent before the database was put back to an older state, or it is long forgotten.
    """
    headers = email.message_from_bytes(raw).get_all(HEADER, [])
    numbers = read_numbers(context.secret.derive(PURPOSE), [str(value) for value in headers[:MOST]])
    gaps = await jump_ahead(tx, numbers, context.clock())
    return "the database was put back to an older state" if gaps else "this canary is not known any more"


def _count(arrived: Canary) -> None:
    metrics.CANARY_SECONDS.labels(arrived.transport).observe(arrived.seconds or 0.0)
    was_lost = {} if arrived.why is None else {"was_lost": arrived.why}
    log.info("a canary mail arrived", way=arrived.name, canary=arrived.id, seconds=arrived.seconds, **was_lost)
