"""Takes the probe on as deciding does with a report: folds it into a job, and opens the alert that its rule asks for."""

from dataclasses import replace
from json import loads

from app.context import AppContext
from app.decide.fold import fold_job
from app.decide.rules import OpenAlert, judge_outcomes
from app.domain.alert import AlertKind, Rule
from app.domain.event import Activity, Event, RunOutcome, Severity
from app.domain.job import Job
from app.domain.probe import AGENT, CUSTOMER, JOB, Probe
from app.store.heartbeats import find_probe, pass_probe_on

_RULE = Rule(id="probe", name="probe", kind=AlertKind.FAILED)


async def tick(context: AppContext) -> None:
    """Decide on the probe if it waits for that."""
    async with context.database.read() as tx:
        probe = await find_probe(tx)
    if probe is None or probe.decided_at is not None:
        return
    reason = judge_probe(probe)
    async with context.database.write() as tx:
        await pass_probe_on(tx, replace(probe, decided_at=context.clock(), reason=reason))
        tx.after_commit(lambda: context.wakeups.wake("notices"))


def judge_probe(probe: Probe) -> str:
    """Return the reason for which the probe opens an alert. Raises ValueError if it opens none: then deciding is broken."""
    report, at = loads(probe.body), probe.stored_at
    event = Event(
        id=probe.id,
        customer_id=CUSTOMER,
        agent_id=AGENT,
        key=probe.id,
        occurred_at=at,
        received_at=at,
        job=report["job"],
        outcome=RunOutcome(report["outcome"]),
        severity=Severity.ERROR,
        message=report["message"],
    )
    folded = fold_job(Job("probe", CUSTOMER, AGENT, JOB, Activity.BACKUP, at), {}, [event], "UTC")
    changes = judge_outcomes(folded.before, folded.after, folded.ended, {}, {}, [_RULE], folded.fresh)
    opened = [change.reason for change in changes if isinstance(change, OpenAlert)]
    if not opened:
        raise ValueError("the probe opened no alert")
    return opened[0]
