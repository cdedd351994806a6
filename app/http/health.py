"""GET /healthz (this process runs) and /readyz (the whole pipeline works). No key is needed, so neither shows a name, address or secret.

/readyz answers 503 when database, migrations or worker fail. A failing transport, or notices that are not composed, are reported as
`warning` with status 200: a load balancer that took us out of service for them would lose events, which can still be stored.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, Field

from app.compose import phrases
from app.context import AppContext
from app.core.disk import DiskTrouble
from app.core.errors import BadSettings, CannotWrite, Unavailable
from app.core.log import log
from app.core.mailbox_url import mailbox_key, read_mailbox_url
from app.core.oauth_settings import OAuthSettings, credential_end
from app.core.settings import Settings
from app.deliver.transports.remedies import remedy_of
from app.domain.attempt import Attempt
from app.domain.canary import TIMES_OVER, MailTimes
from app.domain.credential import Credential
from app.domain.message import takes_json
from app.store import monitoring
from app.store.canaries import mail_times, reported_canaries
from app.store.heartbeats import Heartbeat, check_writable, heartbeats_since, unreadable_of
from app.store.migrate import is_newer, revision_state
from app.store.monitoring import OutboxDepth, OverdueNotices, overdue_notices
from app.store.outbox import latest_by_transport
from app.store.returned_mails import MailboxPosition, all_bounced_addresses, find_mailbox_position

router = APIRouter(tags=["health"])
WORKER_ALIVE = timedelta(seconds=30)
QUERY_TIMEOUT_S = 5.0
COMPOSED_WITHIN = timedelta(minutes=5)
PROBLEM = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
_FOR_INTAKE = ("database", "migrations")
_LATELY = timedelta(days=1)
_MAILBOX_READ_WITHIN = timedelta(minutes=10)


class Healthy(BaseModel):
    """The process answers."""

    status: Literal["ok"] = Field("ok", description="Always `ok`: otherwise there is no answer.")


class Check(BaseModel):
    """One check of what the pipeline needs."""

    name: str = Field(description="What was checked.")
    status: Literal["ok", "warning", "failed"] = Field(description="How it is.")
    detail: str = Field(description="The same in words.")
    code: str | None = Field(
        None,
        description="Why the database cannot be written: the code that senders get with 503, such as `disk_full`.",
    )


class Ready(BaseModel):
    """Whether the service works."""

    status: Literal["ok", "warning", "failed"] = Field(description="The worst status of all checks.")
    checks: list[Check] = Field(description="All checks.")


@router.get(
    "/healthz",
    operation_id="get_health",
    summary="Check that the process runs",
    responses={422: {"description": "The address contains a NUL character.", "content": PROBLEM}},
)
async def get_health() -> Healthy:
    """Answer that the process runs. The database is not queried: restarting this process would not repair it."""
    return Healthy()


@router.get(
    "/readyz",
    operation_id="get_readiness",
    summary="Check that the service works",
    response_model_exclude_none=True,
    responses={
        422: {
            "description": "`for` is neither `all` nor `intake`, or the address contains a NUL character.",
            "content": PROBLEM,
        },
        503: {"model": Ready, "description": "Database, migrations or worker fail, or the database cannot be written."},
    },
)
async def get_readiness(
    request: Request,
    response: Response,
    what: Annotated[
        Literal["all", "intake"],
        Query(
            alias="for",
            description="`intake`: only what storing events needs, for a load balancer before servers without a worker.",
        ),
    ] = "all",
) -> Ready:
    """Check the database, its migrations, the worker, the composing of messages, the transports, and whether mail arrives."""
    checks = await check_service(request.app.state.context, getattr(request.app.state, "stopped", None))
    if what == "intake":
        checks = [check for check in checks if check.name in _FOR_INTAKE]
    states = {check.status for check in checks}
    worst: Literal["ok", "warning", "failed"] = (
        "failed" if "failed" in states else "warning" if "warning" in states else "ok"
    )
    response.status_code = 503 if worst == "failed" else 200
    response.headers["cache-control"] = "no-store"
    return Ready(status=worst, checks=checks)


@dataclass(frozen=True, slots=True)
class StoppedWorker:
    """When the worker inside this process stopped by itself, and why, without names or secrets."""

    at: datetime
    why: str


@dataclass(frozen=True, slots=True)
class _Findings:
    at_revision: str | None
    newest_revision: str
    workers: Sequence[Heartbeat]
    waiting: Sequence[OutboxDepth]
    dead: Mapping[str, int]
    last: Mapping[str, Attempt]
    overdue_notices: OverdueNotices
    times: Mapping[str, MailTimes] = field(default_factory=dict)
    lost: frozenset[str] = frozenset()  # transports whose last canary did not arrive
    bounced: int = 0  # messages of the last day that came back and left nobody notified
    failing: int = 0  # addresses to which mail comes back for good
    mailbox: MailboxPosition | None = None


async def check_service(context: AppContext, stopped: StoppedWorker | None) -> list[Check]:
    """Return all checks of the pipeline, each of which is quick."""
    try:
        async with asyncio.timeout(QUERY_TIMEOUT_S):
            found = await _read_findings(context)
    except CannotWrite as error:
        return [_not_written(error)]
    except Exception as error:  # noqa: BLE001  (an error boundary: the answer reports whatever the database does)
        log.warning("not ready: the database does not answer", cause=repr(error))
        return [Check(name="database", status="failed", detail="the database does not answer; the log has the reason")]
    now = context.clock()
    database = await _database(context)
    served = {transport for worker in found.workers for transport in worker.transports}
    # Every worker serves every transport to a program; those that nobody uses would hide the others.
    mail = {kind for kind in served if not takes_json(kind)}
    kinds = sorted(mail | set(found.last) | {queue.transport for queue in found.waiting} | set(found.dead))
    patience = timedelta(minutes=context.settings.failover_after_min)
    return [
        database,
        _migrations(found),
        _worker(found.workers, now, stopped, is_written=database.status == "ok"),
        _composing(found.overdue_notices, now),
        *_unreadable(found.workers),
        *(_transport(kind, kind in served, found, now, patience) for kind in kinds),
        *await asyncio.to_thread(_credential, context.settings.oauth, now),
        *_returned(context.settings, found, now),
        *(_arrival(kind, found) for kind in sorted(found.lost | set(found.times) - {""})),
    ]


async def _read_findings(context: AppContext) -> _Findings:
    async with context.database.read() as tx:
        at_revision, newest_revision = await revision_state(tx)
        if at_revision != newest_revision and not is_newer(at_revision):
            return _Findings(at_revision, newest_revision, [], [], {}, {}, OverdueNotices())
        url = context.settings.mailbox_url
        mailbox = None if url is None else mailbox_key(read_mailbox_url(url.get_secret_value()))
        return _Findings(
            at_revision,
            newest_revision,
            await heartbeats_since(tx, context.clock() - WORKER_ALIVE),
            await monitoring.outbox_depth(tx),
            await monitoring.dead_messages(tx, context.clock() - _LATELY),
            await latest_by_transport(tx),
            await overdue_notices(tx, context.clock() - COMPOSED_WITHIN),
            await mail_times(tx, context.clock() - TIMES_OVER),
            frozenset(canary.transport for canary in await reported_canaries(tx)),
            await monitoring.bounced_without_successor(tx, context.clock() - _LATELY),
            sum(one.fails for one in await all_bounced_addresses(tx)),
            None if mailbox is None else await find_mailbox_position(tx, mailbox),
        )


def _migrations(found: _Findings) -> Check:
    """Say whether the schema fits. While servers are upgraded one after another, those of the old version must stay in use."""
    if found.at_revision == found.newest_revision:
        return Check(name="migrations", status="ok", detail="up to date")
    versions = f"at {found.at_revision or 'nothing'}, this version needs {found.newest_revision}"
    if is_newer(found.at_revision):
        detail = f"{versions}: a newer version upgraded the database; restart this server with that version"
        return Check(name="migrations", status="warning", detail=detail)
    return Check(name="migrations", status="failed", detail=f"{versions}: run `tocsin migrate`")


def _returned(settings: Settings, found: _Findings, now: datetime) -> list[Check]:
    """Say whether mails came back without another way to their recipients, and whether our mailbox is read. No address may appear."""
    troubles = []
    if found.bounced:
        troubles.append(
            f"{found.bounced} message(s) came back within a day and nobody was notified: see GET /v1/messages?state=bounced"
        )
    if found.failing:
        troubles.append(f"mail to {found.failing} address(es) comes back: see GET /v1/recipients")
    if settings.mailbox_url is not None:
        at = found.mailbox.read_at if found.mailbox is not None else None
        if at is None or found.mailbox is None or found.mailbox.trouble is not None or now - at > _MAILBOX_READ_WITHIN:
            since = "yet" if at is None else f"since {at:%Y-%m-%d %H:%M} UTC"
            troubles.append(f"the mailbox was not read {since}; `tocsin doctor` has the reason")
    if troubles:
        return [Check(name="returned mail", status="warning", detail="; ".join(troubles))]
    if settings.bounce_address is None and settings.mailbox_url is None:
        return []
    return [
        Check(
            name="returned mail",
            status="ok",
            detail="in the last 24 hours nobody missed an alert because a mail came back",
        )
    ]


async def _database(context: AppContext) -> Check:
    """Say whether the database can be written: one that only answers queries stores no event."""
    writing = context.database.writing
    try:
        await check_writable(context.database, context.clock(), QUERY_TIMEOUT_S)
    except CannotWrite as error:
        return _not_written(error)
    except Unavailable as error:
        log.warning("not ready: the database cannot be written", cause=repr(error.__cause__ or error))
        return Check(name="database", status="failed", detail="cannot be written; the log has the reason")
    if writing.trouble is not None or writing.is_saving_room:
        trouble = writing.trouble or DiskTrouble.FULL
        detail = f"cannot be written: {trouble.what}; {trouble.mend}"
        if writing.is_saving_room:
            detail = f"{trouble.what}: only failures are stored, in the room that was kept for them; {trouble.mend}"
        return Check(name="database", status="failed", detail=detail, code=trouble)
    return Check(name="database", status="ok", detail="answers and can be written")


def _not_written(error: CannotWrite) -> Check:
    trouble = DiskTrouble(error.code)
    detail = f"cannot be written: {trouble.what}; {trouble.mend}"
    return Check(name="database", status="failed", detail=detail, code=trouble)


def _worker(workers: Sequence[Heartbeat], now: datetime, stopped: StoppedWorker | None, *, is_written: bool) -> Check:
    why = "" if stopped is None else f"; the worker in this process stopped: {stopped.why}"
    if not workers and not is_written:
        detail = (
            f"no worker could write a heartbeat for {WORKER_ALIVE.seconds} s, because the database cannot be written"
        )
        return Check(name="worker", status="failed", detail=detail)
    if not workers:
        detail = f"no worker had a heartbeat for {WORKER_ALIVE.seconds} s, so nothing is decided or sent; start `tocsin serve` or `tocsin worker`{why}"
        return Check(name="worker", status="failed", detail=detail)
    newest = max(0.0, (now - workers[0].at).total_seconds())
    is_down = stopped is not None and now - stopped.at < WORKER_ALIVE
    detail = f"{len(workers)} running, last heartbeat {newest:.0f} s ago{why if is_down else ''}"
    return Check(name="worker", status="warning" if is_down else "ok", detail=detail)


def _composing(late: OverdueNotices, now: datetime) -> Check:
    if late.oldest_due_at is None:
        return Check(name="wording", status="ok", detail="no notice waits too long to be composed")
    since = _format_age(now - late.oldest_due_at)
    detail = f"{late.notices} notice(s) wait to be composed, the oldest for {since}, so they are not sent; the log has the reason"
    return Check(name="wording", status="warning", detail=detail)


def _unreadable(workers: Sequence[Heartbeat]) -> list[Check]:
    """Say that rows cannot be read; nothing if all can."""
    count = unreadable_of(workers)
    if not count:
        return []
    detail = f"{count} row(s) cannot be read, so nothing is decided of them; the log names them"
    return [Check(name="rows", status="warning", detail=detail)]


def _credential(given: OAuthSettings, now: datetime) -> list[Check]:
    """Say when what we log in with at Microsoft or Google ends; nothing if that is not known."""
    try:
        end = credential_end(given)
    except BadSettings:
        return [Check(name="credential", status="warning", detail="cannot be read; `tocsin doctor` has the reason")]
    if end is None:
        return []
    trouble = Credential(*end).trouble(now)
    detail = trouble or f"{end[0]} does not end soon"
    return [Check(name="credential", status="warning" if trouble else "ok", detail=detail)]


def _format_age(age: timedelta) -> str:
    seconds = age.total_seconds()
    return f"{seconds:.0f} s" if seconds < 60 else f"{seconds / 60:.0f} min"  # noqa: PLR2004  (a minute)


def _transport(kind: str, is_served: bool, found: _Findings, now: datetime, patience: timedelta) -> Check:  # noqa: FBT001
    waiting = [queue for queue in found.waiting if queue.transport == kind]
    count, troubles = sum(queue.messages for queue in waiting), []
    if waiting and not is_served:
        troubles.append("messages wait for it, but no worker serves it: is it configured?")
    if waiting and (age := now - min(queue.oldest_at for queue in waiting)) > patience:
        troubles.append(f"the oldest of {count} waiting message(s) is {_format_age(age)} old")
    if found.dead.get(kind):
        troubles.append(f"{found.dead[kind]} message(s) were given up within a day: see GET /v1/messages?state=dead")
    last = found.last.get(kind)
    if last is not None and last.outcome != "sent":
        mend = remedy_of(last.code, kind)
        troubles.append(f"the last attempt ended {last.outcome}" + (f". {mend}" if mend else ""))
    if troubles:
        return Check(name=f"transport {kind}", status="warning", detail="; ".join(troubles))
    last_attempt = "not used recently" if last is None else "the last attempt was sent"
    return Check(name=f"transport {kind}", status="ok", detail=f"{last_attempt}; {count} waiting")


def _arrival(kind: str, found: _Findings) -> Check:
    """Say how long mail by a transport takes, and whether its last canary arrived."""
    times = phrases.mail_times(found.times[kind]) if kind in found.times else ""
    if kind in found.lost:
        detail = f"a canary mail was lost, so mail may not arrive: see GET /v1/canaries. {times}".rstrip()
        return Check(name=f"arrival {kind}", status="warning", detail=detail)
    return Check(name=f"arrival {kind}", status="ok", detail=times)
