"""GET /healthz (this process lives) and /readyz (the whole line works). No key is needed, so neither says a name, an address or a secret.

/readyz answers 503 when database, migrations or worker fail. A transport in trouble, or notices that are not worded, are told as
`warning` and leave it at 200: events must still be taken in, and a load balancer that took us out for them would lose them.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field

from app.context import AppContext
from app.core.log import log
from app.domain.attempt import Attempt
from app.store import monitoring
from app.store.attempts import latest_by_transport
from app.store.heartbeats import Heartbeat, heartbeats_since
from app.store.migrate import revision_state
from app.store.monitoring import OutboxDepth, OverdueNotices, overdue_notices

router = APIRouter(tags=["health"])
WORKER_ALIVE = timedelta(seconds=30)
LOOK_S = 5.0
WORDED_WITHIN = timedelta(minutes=5)
_LATELY = timedelta(days=1)


class Healthy(BaseModel):
    """This process answers."""

    status: Literal["ok"] = Field("ok", description="Always `ok`: otherwise there is no answer.")


class Check(BaseModel):
    """One check of what the pipeline needs."""

    name: str = Field(description="What was checked.")
    status: Literal["ok", "warning", "failed"] = Field(description="How it is.")
    detail: str = Field(description="The same in words.")


class Ready(BaseModel):
    """Whether the service works."""

    status: Literal["ok", "warning", "failed"] = Field(description="The worst status of all checks.")
    checks: list[Check] = Field(description="All checks.")


@router.get("/healthz", operation_id="get_health", summary="Check that the process runs")
async def get_health() -> Healthy:
    """Say that this process lives. The database is not asked: a restart of this process would not mend it."""
    return Healthy()


@router.get(
    "/readyz",
    operation_id="get_readiness",
    summary="Check that the service works",
    responses={503: {"model": Ready, "description": "Database, migrations or worker fail."}},
)
async def get_readiness(request: Request, response: Response) -> Ready:
    """Check database, migrations, worker, wording and transports."""
    checks = await _checks(request.app.state.context, getattr(request.app.state, "stopped", None))
    states = {check.status for check in checks}
    worst: Literal["ok", "warning", "failed"] = (
        "failed" if "failed" in states else "warning" if "warning" in states else "ok"
    )
    response.status_code = 503 if worst == "failed" else 200
    response.headers["cache-control"] = "no-store"
    return Ready(status=worst, checks=checks)


@dataclass(frozen=True, slots=True)
class StoppedWorker:
    """The worker inside this process stopped by itself: when, and why in words without names or secrets."""

    at: datetime
    why: str


@dataclass(frozen=True, slots=True)
class _Look:
    at_revision: str | None
    newest_revision: str
    workers: Sequence[Heartbeat]
    waiting: Sequence[OutboxDepth]
    dead: Mapping[str, int]
    last: Mapping[str, Attempt]
    overdue_notices: OverdueNotices


async def _checks(context: AppContext, stopped: StoppedWorker | None) -> list[Check]:
    try:
        async with asyncio.timeout(LOOK_S):
            found = await _look(context)
    except Exception as cause:  # noqa: BLE001  (the rim of this request: whatever the database does, the answer says so)
        log.warning("not ready: the database does not answer", cause=repr(cause))
        return [Check(name="database", status="failed", detail="the database does not answer; the log says why")]
    now = context.clock()
    is_current = found.at_revision == found.newest_revision
    return [
        Check(name="database", status="ok", detail="answers"),
        Check(
            name="migrations",
            status="ok" if is_current else "failed",
            detail="up to date"
            if is_current
            else f"at {found.at_revision or 'nothing'}, this program needs {found.newest_revision}: run `tocsin migrate`",
        ),
        _worker(found.workers, now, stopped),
        _wording(found.overdue_notices, now),
        *_transports(context, found, now),
    ]


async def _look(context: AppContext) -> _Look:
    async with context.database.read() as tx:
        at_revision, newest_revision = await revision_state(tx)
        if at_revision != newest_revision:
            return _Look(at_revision, newest_revision, [], [], {}, {}, OverdueNotices())
        return _Look(
            at_revision,
            newest_revision,
            await heartbeats_since(tx, context.clock() - WORKER_ALIVE),
            await monitoring.outbox_depth(tx),
            await monitoring.dead_messages(tx, context.clock() - _LATELY),
            await latest_by_transport(tx),
            await overdue_notices(tx, context.clock() - WORDED_WITHIN),
        )


def _worker(workers: Sequence[Heartbeat], now: datetime, stopped: StoppedWorker | None) -> Check:
    why = "" if stopped is None else f"; the one in this process stopped: {stopped.why}"
    if not workers:
        detail = f"no worker showed life for {WORKER_ALIVE.seconds} s: nothing is decided or sent; start `tocsin serve` or `tocsin worker`{why}"
        return Check(name="worker", status="failed", detail=detail)
    newest = max(0.0, (now - workers[0].at).total_seconds())
    is_down = stopped is not None and now - stopped.at < WORKER_ALIVE
    detail = f"{len(workers)} at work, heard {newest:.0f} s ago{why if is_down else ''}"
    return Check(name="worker", status="warning" if is_down else "ok", detail=detail)


def _wording(late: OverdueNotices, now: datetime) -> Check:
    if late.oldest_due_at is None:
        return Check(name="wording", status="ok", detail="nothing waits too long to be worded")
    since = _long(now - late.oldest_due_at)
    detail = (
        f"{late.notices} notice(s) wait to be worded, the oldest for {since}: nobody hears of them; the log says why"
    )
    return Check(name="wording", status="warning", detail=detail)


def _long(age: timedelta) -> str:
    seconds = age.total_seconds()
    return f"{seconds:.0f} s" if seconds < 60 else f"{seconds / 60:.0f} min"  # noqa: PLR2004  (a minute)


def _transports(context: AppContext, found: _Look, now: datetime) -> list[Check]:
    """Judge each transport that is served or that messages wait for."""
    served = {transport for worker in found.workers for transport in worker.transports}
    kinds = sorted(served | {one.transport for one in found.waiting} | set(found.dead))
    patience = timedelta(minutes=context.settings.failover_after_min)
    return [_transport(kind, kind in served, found, now, patience) for kind in kinds]


def _transport(kind: str, is_served: bool, found: _Look, now: datetime, patience: timedelta) -> Check:  # noqa: FBT001
    waiting = [one for one in found.waiting if one.transport == kind]
    count, troubles = sum(one.messages for one in waiting), []
    if waiting and not is_served:
        troubles.append("messages wait for it, but no worker serves it: is it configured?")
    if waiting and (age := now - min(one.oldest_at for one in waiting)) > patience:
        troubles.append(f"the oldest of {count} waiting message(s) is {_long(age)} old")
    if found.dead.get(kind):
        troubles.append(f"{found.dead[kind]} message(s) were given up within a day: see GET /v1/messages?state=dead")
    last = found.last.get(kind)
    if last is not None and last.outcome != "sent":
        troubles.append(f"the last attempt ended {last.outcome}")
    if troubles:
        return Check(name=f"transport {kind}", status="warning", detail="; ".join(troubles))
    heard = "not used lately" if last is None else "the last attempt was sent"
    return Check(name=f"transport {kind}", status="ok", detail=f"{heard}; {count} waiting")
