"""Reports what goes beyond the budgets of a key, and an agent that reports many times its usual: one alert for each key, closed when it is over.

The server processes note what they refuse and count (intake/usage.py). It is reported like a failed backup, as a job of the agent `Tocsin`.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from app.context import AppContext
from app.core.settings import Settings
from app.domain.budget import KeyLimits, limits_of
from app.domain.excess import (
    RESULTS,
    TOLD_AGAIN,
    Excess,
    describe,
    describe_flood,
    describe_refused,
    excess_event,
    is_flood,
    job_name,
)
from app.domain.key import Key
from app.domain.service_event import AGENT
from app.store.agents import agents_by_id
from app.store.events import insert_clock_events
from app.store.excesses import all_excesses, forget_excesses, lock_excesses, save_reported, save_usual, usual_results
from app.store.intake import find_or_create_agents
from app.store.keys import keys_by_id
from app.store.transactions import WriteTx

_HISTORY = timedelta(days=28)
_JUDGED_FOR = timedelta(days=1)


async def tick(context: AppContext) -> bool:
    """Report what is new or over of each key, in one transaction a key. Returns False: none is left."""
    now = context.clock()
    async with context.database.read() as tx:
        noted = await all_excesses(tx)
        changed = {one.key_id for one in noted if _may_be_news(one, now)}
        keys = await keys_by_id(tx, changed) if changed else {}
    for key in keys.values():
        async with context.database.write() as tx:
            if await _report(tx, key, context.settings, now):
                tx.after_commit(lambda: context.wakeups.wake("events"))
    if gone := [one for one in noted if one.key_id in changed and one.key_id not in keys]:
        async with context.database.write() as tx:
            await forget_excesses(tx, gone)
    return False


def _may_be_news(one: Excess, now: datetime) -> bool:
    """Return whether an excess has to be looked at: a busy agent that reports no more than usual costs nothing here."""
    if one.is_over(now) or (one.reported_at is not None and now - one.reported_at >= TOLD_AGAIN):
        return True
    if one.what != RESULTS:
        return one.reported_at is None
    return _is_to_be_judged(one, now) or is_flood(one.events, one.usual) != (one.reported_at is not None)


def _is_to_be_judged(one: Excess, now: datetime) -> bool:
    return one.what == RESULTS and (one.judged_at is None or now - one.judged_at >= _JUDGED_FOR)


async def _report(tx: WriteTx, key: Key, settings: Settings, now: datetime) -> bool:
    """Write the event of a key if there is news; return whether there was."""
    noted = await lock_excesses(tx, key.id)
    over = [one for one in noted if one.is_over(now)]
    lasting = [await _judged(tx, one, now) for one in noted if not one.is_over(now)]
    await forget_excesses(tx, over)
    shown = [one for one in lasting if one.what != RESULTS or is_flood(one.events, one.usual)]
    was_reported = any(one.reported_at is not None for one in noted)
    if not shown:
        if not was_reported:
            return False
        await _write(tx, key, now, "reports are within the budgets and the usual again", is_over=True)
        await save_reported(tx, [one for one in lasting if one.reported_at is not None], None)
        return True
    is_news = any(one.reported_at is None or now - one.reported_at >= TOLD_AGAIN for one in shown)
    if is_news:
        await _write(tx, key, now, await _describe(tx, shown, limits_of(key, settings)), is_over=False)
        await save_reported(tx, shown, now)
    return is_news


async def _judged(tx: WriteTx, one: Excess, now: datetime) -> Excess:
    """Return an excess with what is usual for its agent; that is read once a day, because it costs as much as the agent has jobs."""
    if not _is_to_be_judged(one, now):
        return one
    usual = await usual_results(tx, one.agent_id, (now - _HISTORY).date(), now.date())
    judged = replace(one, usual=usual, judged_at=now)
    await save_usual(tx, judged)
    return judged


async def _describe(tx: WriteTx, shown: Sequence[Excess], limits: KeyLimits) -> str:
    names = await agents_by_id(tx, {one.agent_id for one in shown if one.agent_id})
    floods = [
        describe_flood(names[one.agent_id].name if one.agent_id in names else one.agent_id, one)
        for one in sorted(shown, key=lambda it: -it.events)
        if one.what == RESULTS
    ]
    return describe(floods, [describe_refused(one, limits) for one in shown if one.what != RESULTS])


async def _write(tx: WriteTx, key: Key, now: datetime, message: str, *, is_over: bool) -> None:
    if key.customer_id is None:
        return
    agent = (key.customer_id, AGENT)
    agent_id = (await find_or_create_agents(tx, {agent}, now))[agent]
    job = job_name(key.name, key.hint)
    event = excess_event(key.id, job, key.customer_id, agent_id, now, message, is_over=is_over)
    await insert_clock_events(tx, [event])
