"""Decides that a canary mail is lost: an event reports it like a failed backup, and the alert about it goes by another transport or relay."""

from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial

from app.context import AppContext
from app.core import metrics
from app.core.log import log
from app.core.settings import Settings
from app.domain.canary import RELAYED, Canary, CanaryState, Lookout, why_lost
from app.store import canaries, relays
from app.store.heartbeats import find_listening
from app.store.returned_mails import mailbox_last_read_at
from app.store.transactions import ReadTx, WriteTx


async def tick(context: AppContext) -> bool:
    """Report canaries that were lost, and close the alerts about transports and relays that are no longer used. Returns False: none is left."""
    settings, now = context.settings, context.clock()
    async with context.database.read() as tx:
        lost = [
            (canary.id, why)
            for canary in await canaries.waiting_canaries(tx)
            if (why := await _why_lost(tx, settings, canary, now)) is not None
        ]
        reported = await canaries.reported_canaries(tx)
        known = {relay.id for relay in await relays.all_relays(tx)} if reported else set()
    ended = {(it.transport, it.relay_id): it.name for it in reported if not _is_tested(settings, it, known)}
    if not lost and not ended:
        return False
    async with context.database.write() as tx:
        for canary_id, why in lost:
            await _give_up(tx, canary_id, why, now, is_tested=settings.sends_canaries)
        for (transport, relay_id), name in ended.items():
            await canaries.close_alert(tx, transport, relay_id, f"mails by {name} are no longer tested", now)
        tx.after_commit(lambda: context.wakeups.wake("events"))
    return False


async def _why_lost(tx: ReadTx, settings: Settings, canary: Canary, now: datetime) -> str | None:
    if not settings.sends_canaries:
        return "canary mails were turned off before it arrived"
    state, settled = await canaries.progress_of(tx, canary)
    listening = await find_listening(tx)
    seen = Lookout(
        now=now,
        within=timedelta(minutes=settings.canary_within_min),
        message=state,
        settled=settled,
        listening_since=None if listening is None else listening.since,
        has_mailbox=settings.mailbox_url is not None,
        read_at=await mailbox_last_read_at(tx),
    )
    return why_lost(canary, seen)


def _is_tested(settings: Settings, canary: Canary, relay_ids: set[str]) -> bool:
    if not settings.sends_canaries:
        return False
    return canary.relay_id in relay_ids if canary.transport == RELAYED else canary.transport in settings.mail_transports


async def _give_up(tx: WriteTx, canary_id: str, why: str, now: datetime, *, is_tested: bool) -> None:
    """Note that a canary is lost and report it, unless it arrived or another worker did so meanwhile."""
    canary = await canaries.CANARIES.find(tx, canary_id, for_change=True)
    if canary is None or canary.state is not CanaryState.WAITING:
        return
    lost = replace(canary, state=CanaryState.LOST, lost_at=now, why=why, is_reported=is_tested)
    await canaries.CANARIES.save_state(tx, canary, lost)
    if is_tested:
        await canaries.report_lost(tx, lost, now)
        tx.after_commit(partial(_count, lost))


def _count(lost: Canary) -> None:
    metrics.CANARIES_LOST.labels(lost.transport).inc()
    log.error("a canary mail was lost: mail may not arrive", way=lost.name, canary=lost.id, why=lost.why)
