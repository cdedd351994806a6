"""Jobs: mostly made by the first event that names them; what administrators set is when they are expected."""

from collections.abc import Collection, Mapping
from typing import Any

from app.admin.audit import note
from app.admin.editing import Editor, Noun, Values, change, create, get
from app.core.errors import BadInput, Conflict
from app.domain.event import Activity
from app.domain.expectation import check_cron, next_slot
from app.domain.job import JobState
from app.domain.record import Record, Wanted
from app.store import alert_edits
from app.store.agents import AGENTS
from app.store.alert_edits import close_missed
from app.store.jobs import JOBS, delete_history_of, lock_proposed
from app.store.json_forms import expectation_of
from app.store.run_edits import set_longest
from app.store.transactions import ReadTx, WriteTx

AT_ONCE = 200  # jobs whose proposals are confirmed by one call: it holds the writing connection
_DAILY = {"cron": None, "period_s": 86_400, "time_zone": "UTC", "grace_s": 3_600, "longest_s": None}
_BLANK = {"state": JobState.NEW, "failures_in_row": 0, "warnings_in_row": 0, "missed_in_row": 0, "labels": {}}


async def _prepare(tx: WriteTx, values: Values, before: Record | None, by: Editor) -> Values:
    if before is None:
        agent = await AGENTS.find(tx, values["agent_id"])
        if agent is None:
            raise BadInput(f"there is no agent {values['agent_id']}", code="unknown_agent", field="agent_id")
        values = {**_BLANK, **values, "customer_id": agent.fields["customer_id"]}
    if "expectation" in values:
        values = {**values, **_slots(values["expectation"], before, by)}
        # What an administrator says ends what was learned; that nothing is expected is a word too.
        is_none = values["expectation"] is None and before is not None
        values |= {"proposed_expectation": None, "learn_at": None, "dismissed_at": by.at if is_none else None}
        await _judge_open_runs(tx, values["expectation"], before)
        if is_none and before is not None:
            await close_missed(tx, before.id, f"{by.who} expects nothing of this job", by.at)
    return values


async def _judge_open_runs(tx: WriteTx, stored: dict[str, Any] | None, before: Record | None) -> None:
    """What runs now is held to the new longest time too: a run that hangs tonight is why it was set."""
    if before is None:
        return
    was, now = expectation_of(before.fields["expectation"]), expectation_of(stored)
    longest = now.longest if now else None
    if now is None or longest != (was.longest if was else None):
        await set_longest(tx, before.id, longest)


def _slots(stored: dict[str, Any] | None, before: Record | None, by: Editor) -> Values:
    """Start the expectation from now: a new plan must not call slots missed that lie before it."""
    expectation = expectation_of(stored)
    if expectation is None:
        return {"last_due_at": None, "next_due_at": None, "overdue_at": None}
    if expectation.cron is not None:
        check_cron(expectation.cron)
    came_at = before.fields["last_came_at"] if before else None
    settled, awaited = next_slot(expectation, came_at, None, by.at)
    return {"last_due_at": settled, "next_due_at": awaited, "overdue_at": awaited + expectation.grace}


async def _detach(tx: WriteTx, job: Record, by: Editor) -> None:
    await delete_history_of(tx, job.id)
    await alert_edits.close_all_of(tx, job.id, f"closed: the job was deleted by {by.who}", by.at)


async def confirm(tx: WriteTx, job_id: str, by: Editor, *, versions: Collection[int] | None = None) -> Record:
    """Make the proposal the expectation. Raises NotFound, StaleEdit, Conflict if nothing is proposed."""
    job = await get(tx, NOUN, job_id, versions=versions)
    proposed = job.fields["proposed_expectation"]
    if proposed is None:
        raise Conflict("no expectation is proposed for this job", code="nothing_proposed")
    await JOBS.change(tx, job.id, await _prepare(tx, {"expectation": proposed}, job, by))
    await note(tx, by.who, by.at, "confirm", NOUN.name, job.id, {"expectation": [job.fields["expectation"], proposed]})
    return await get(tx, NOUN, job.id)


async def confirm_all(tx: WriteTx, filters: Mapping[str, Any], by: Editor) -> int:
    """Confirm what is proposed for the jobs that `filters` leave, `AT_ONCE` at most; give how many."""
    waiting = await lock_proposed(tx, filters, AT_ONCE)
    for job_id in waiting:
        await confirm(tx, job_id, by)
    return len(waiting)


async def dismiss(tx: WriteTx, job_id: str, by: Editor, *, versions: Collection[int] | None = None) -> Record:
    """Expect nothing of the job and learn nothing any more, until an expectation is set. Raises NotFound, StaleEdit, Conflict."""
    job = await get(tx, NOUN, job_id, versions=versions)
    if job.fields["expectation"] is not None:
        raise Conflict("this job has an expectation; take it away instead", code="has_expectation")
    if job.fields["dismissed_at"] is None:
        await JOBS.change(tx, job.id, await _prepare(tx, {"expectation": None}, job, by))
        told = {"proposed_expectation": [job.fields["proposed_expectation"], None]}
        await note(tx, by.who, by.at, "dismiss", NOUN.name, job.id, told)
    return await get(tx, NOUN, job.id)


async def is_known(tx: ReadTx, agent_id: str, name: str) -> bool:
    """Say whether there is such a job of backups."""
    return bool((await JOBS.page(tx, Wanted(1, filters=_backups(agent_id, name)))).items)


async def expect_daily(tx: WriteTx, agent_id: str, name: str, by: Editor) -> None:
    """Expect a new job of backups each day, with an hour of grace; made already by its first event, it gets that expectation."""
    same, daily = _backups(agent_id, name), {"expectation": dict(_DAILY)}
    found = await JOBS.page(tx, Wanted(1, filters=same))
    if not found.items:
        await create(tx, NOUN, {**same, **daily}, by)
        return
    job = await get(tx, NOUN, found.items[0].id)
    if job.fields["expectation"] is None:
        await change(tx, NOUN, job, daily, by)


def _backups(agent_id: str, name: str) -> Values:
    return {"agent_id": agent_id, "name": name, "activity": Activity.BACKUP.value}


NOUN = Noun("job", JOBS, _prepare, _detach)
