"""Counts for /metrics, /readyz and `tocsin doctor`. Every count must be quick on a large database: it reads a small partial index."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Select, and_, func, not_, or_, select, text, union_all

from app.domain.alert import AlertKind
from app.domain.attempt import TEMPLATE_FAILED, Attempt
from app.domain.bounced_address import JOB_PREFIX as ADDRESS_PREFIX
from app.domain.canary import JOB_PREFIX
from app.domain.credential import JOB as CREDENTIAL_JOB
from app.domain.disk_space import JOB as DISK_JOB
from app.domain.excess import JOB_PREFIX as EXCESS_PREFIX
from app.domain.key import KeyKind
from app.domain.notice import URGENCY_CANARY
from app.domain.relay import AGENT_PREFIX
from app.domain.relay import JOB as RELAY_JOB
from app.domain.service_event import AGENT
from app.domain.set_aside import JOB as SET_ASIDE_JOB
from app.domain.uncomposed import JOB as UNCOMPOSED_JOB
from app.domain.unreadable import JOB as UNREADABLE_JOB
from app.store.alerts import Customers, only
from app.store.heartbeats import heartbeats_since
from app.store.jobs import WITHOUT_EXPECTATION
from app.store.outbox import latest_by_transport
from app.store.routing import TransportQueue, TransportTest, last_transport_tests, transport_queues
from app.store.tables import agents, alerts, attempts, events, jobs, messages, notices
from app.store.tables_managed import keys, recipients, relays, routes, summary_schedules
from app.store.transactions import ReadTx
from app.store.types import EPOCH

DEAD_MOST = 10_000
SHOWN = 5


@dataclass(frozen=True, slots=True)
class OutboxDepth:
    """How many messages of one transport are in one state that is not settled, and when the oldest was created."""

    transport: str
    state: str
    messages: int
    oldest_at: datetime


async def outbox_depth(tx: ReadTx) -> list[OutboxDepth]:
    """Count the messages that are not settled: queued, unknown (to be sent again) and leased."""
    counted = [
        select(
            messages.c.transport,
            messages.c.state,
            func.count().label("number"),
            func.min(messages.c.created_at).label("oldest"),
        )
        .where(text(condition))
        .group_by(messages.c.transport, messages.c.state)
        for condition in ("messages.state IN ('queued', 'unknown')", "messages.state = 'leased'")
    ]
    rows = await tx.connection.execute(union_all(*counted))
    return [OutboxDepth(row.transport, row.state, row.number, row.oldest) for row in rows]


async def dead_messages(tx: ReadTx, since: datetime | None = None) -> dict[str, int]:
    """Count messages that were given up (since a moment), by transport, among the newest DEAD_MOST."""
    dead = select(messages.c.transport).where(
        text("messages.state = 'dead'"),
        messages.c.settled_at >= (since or EPOCH),
        messages.c.urgency < URGENCY_CANARY,  # it was for nobody, and an alert reports it
    )
    dead = dead.order_by(messages.c.settled_at.desc()).limit(DEAD_MOST)
    newest = dead.subquery()
    rows = await tx.connection.execute(select(newest.c.transport, func.count()).group_by(newest.c.transport))
    return {row[0]: row[1] for row in rows}


async def bounced_messages(tx: ReadTx, since: datetime) -> dict[str, int]:
    """Count messages that came back since a moment and left nobody notified, by transport, among the newest DEAD_MOST."""
    newest = (
        select(messages.c.transport)
        .where(
            text("messages.state = 'bounced'"),
            messages.c.settled_at >= since,
            messages.c.moved_to.is_(None),
            messages.c.urgency < URGENCY_CANARY,
        )
        .limit(DEAD_MOST)
        .subquery()
    )
    rows = await tx.connection.execute(select(newest.c.transport, func.count()).group_by(newest.c.transport))
    return {row[0]: row[1] for row in rows}


async def bounced_without_successor(tx: ReadTx, since: datetime) -> int:
    """Count the same of all transports."""
    return sum((await bounced_messages(tx, since)).values())


async def open_alerts(tx: ReadTx) -> dict[str, int]:
    """Count open alerts by kind."""
    rows = await tx.connection.execute(
        select(alerts.c.kind, func.count()).where(alerts.c.closed_at.is_(None)).group_by(alerts.c.kind)
    )
    return {row[0]: row[1] for row in rows}


@dataclass(frozen=True, slots=True)
class OverdueNotices:
    """Notices that should have been composed by now: how many, and when the oldest was due."""

    notices: int = 0
    oldest_due_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Checkup:
    """What `tocsin doctor` reads. Of names, only the first few; numbers count all."""

    recipients: int
    used_transports: frozenset[str]  # by recipients of enabled routes and summaries
    enabled_routes: int
    enabled_summaries: int
    jobs: int
    jobs_without_expectation: int
    names_without_expectation: tuple[str, ...]
    jobs_unconfirmed: int
    silent_agents: tuple[str, ...]
    alerts_to_nobody: int
    dead_messages: int
    set_aside_events: int
    living_workers: int
    overdue_notices: OverdueNotices
    last_tests: dict[str, TransportTest]
    waiting: dict[str, TransportQueue]
    last_attempts: dict[str, Attempt]  # by transport
    database_version: str
    relays: int
    relay_troubles: tuple[str, ...]


async def overdue_notices(tx: ReadTx, due_before: datetime) -> OverdueNotices:
    """Count notices that wait to be composed though they were due before `due_before`."""
    # Exactly the condition of the partial index, or SQLite would read every notice.
    late = text("notices.state IN ('waiting', 'muted')"), notices.c.state == "waiting", notices.c.due_at < due_before
    query = select(func.count().label("number"), func.min(notices.c.due_at).label("oldest")).where(*late)
    row = (await tx.connection.execute(query)).one()
    return OverdueNotices(row.number, row.oldest)


async def local_database_folders(tx: ReadTx) -> tuple[str, ...]:
    """Return the folders of PostgreSQL's data if the server is on this host and lets us know them: of its cluster, and of the database's tablespace."""
    found = await tx.connection.execute(
        text(
            "SELECT (SELECT setting FROM pg_settings WHERE name = 'data_directory') AS of_cluster, "
            "pg_tablespace_location(dattablespace) AS of_tablespace FROM pg_database WHERE datname = current_database() "
            "AND inet_server_addr() IS NOT DISTINCT FROM inet_client_addr()"
        )
    )
    return tuple(folder for row in found for folder in row if folder)


async def count_alerts_to_nobody(tx: ReadTx, seen: Customers = None) -> int:
    """Count open alerts of these customers that nobody acknowledged and that no notice to a recipient exists for: no route matched, or its recipients are gone."""
    of_alert = select(notices.c.id).where(notices.c.alert_id == alerts.c.id)
    decided = of_alert.where(notices.c.state == "suppressed").exists()
    notified = of_alert.where(notices.c.state != "suppressed").exists()
    query = select(func.count()).select_from(alerts)
    is_open = alerts.c.closed_at.is_(None), alerts.c.acknowledged_at.is_(None)
    return await _count(tx, query.where(*is_open, *only(seen), ~notified, decided))


async def check_up(tx: ReadTx, alive_since: datetime, due_before: datetime) -> Checkup:
    """Read everything for the doctor. Notices that were due before `due_before` should have been composed by now."""
    # The jobs under which relays, lost canaries, our own credentials, disks and floods are reported need no expectation.
    of_relay = and_(jobs.c.name == RELAY_JOB, agents.c.name.startswith(AGENT_PREFIX, autoescape=True))
    of_ours = and_(
        agents.c.name == AGENT,
        or_(
            jobs.c.name.startswith(JOB_PREFIX, autoescape=True),
            jobs.c.name.startswith(ADDRESS_PREFIX, autoescape=True),
            jobs.c.name.startswith(EXCESS_PREFIX, autoescape=True),
            jobs.c.name.in_((CREDENTIAL_JOB, DISK_JOB, UNCOMPOSED_JOB, UNREADABLE_JOB, SET_ASIDE_JOB)),
        ),
    )
    unexpected = and_(WITHOUT_EXPECTATION, not_(or_(of_relay, of_ours)))
    names = select(jobs.c.name, agents.c.name.label("agent")).join_from(jobs, agents, agents.c.id == jobs.c.agent_id)
    first = await tx.connection.execute(names.where(unexpected).order_by(jobs.c.id).limit(SHOWN))
    silent = (
        select(agents.c.name)
        .join_from(alerts, agents, agents.c.id == alerts.c.agent_id)
        .where(alerts.c.closed_at.is_(None), alerts.c.kind == AlertKind.AGENT_SILENT)
        .order_by(agents.c.name)
        .limit(SHOWN)
    )
    troubles = select(relays.c.trouble).where(relays.c.trouble.is_not(None)).limit(SHOWN)
    used_ids = await used_recipients(tx)
    addresses = await tx.connection.execute(select(recipients.c.id, recipients.c.transports))
    version = await tx.connection.scalar(text("SELECT sqlite_version()" if tx.is_sqlite else "SHOW server_version"))
    count = select(func.count())
    return Checkup(
        recipients=await _count(tx, count.select_from(recipients)),
        used_transports=frozenset(to["transport"] for row in addresses if row.id in used_ids for to in row.transports),
        enabled_routes=await _count(tx, count.where(routes.c.enabled.is_(True))),
        enabled_summaries=await _count(tx, count.where(summary_schedules.c.enabled.is_(True))),
        jobs=await _count(tx, count.select_from(jobs)),
        jobs_without_expectation=await _count(
            tx, count.select_from(jobs).join(agents, agents.c.id == jobs.c.agent_id).where(unexpected)
        ),
        names_without_expectation=tuple(f"{row.name} on {row.agent}" for row in first),
        jobs_unconfirmed=await _count(tx, count.where(text("proposed_expectation IS NOT NULL")).select_from(jobs)),
        silent_agents=tuple(await tx.connection.scalars(silent)),
        alerts_to_nobody=await count_alerts_to_nobody(tx),
        dead_messages=await _count(
            tx, count.where(text("messages.state = 'dead'"), messages.c.urgency < URGENCY_CANARY).select_from(messages)
        ),
        set_aside_events=await _count(tx, count.where(text("events.state = 'set_aside'")).select_from(events)),
        living_workers=len(await heartbeats_since(tx, alive_since)),
        overdue_notices=await overdue_notices(tx, due_before),
        last_tests=await last_transport_tests(tx),
        waiting=await transport_queues(tx),
        last_attempts=await latest_by_transport(tx),
        database_version=str(version),
        relays=await _count(tx, count.select_from(relays)),
        relay_troubles=tuple(await tx.connection.scalars(troubles)),
    )


async def used_recipients(tx: ReadTx) -> set[str]:
    """Return the ids of the recipients that an enabled route or summary schedule leads to."""
    used: set[str] = set()
    for table in (routes, summary_schedules):
        for ids in await tx.connection.scalars(select(table.c.recipients).where(table.c.enabled.is_(True))):
            used |= set(ids)
    return used


async def failing_templates(tx: ReadTx, among: int = 1000) -> list[tuple[str, str]]:
    """Return the recipients whose webhook has a template that failed for their newest message, each by its name and the text of the attempt.

    Only the newest `among` attempts of all are read; ids sort by time.
    """
    newest = select(attempts).order_by(attempts.c.id.desc()).limit(among).subquery()
    query = (
        select(recipients.c.name, newest.c.text)
        .join_from(newest, messages, messages.c.id == newest.c.message_id)
        .join(recipients, recipients.c.id == messages.c.recipient_id)
        .where(messages.c.transport == "webhook", newest.c.ended_at.is_not(None))
        .order_by(newest.c.id)
    )
    last = {row.name: row.text or "" for row in await tx.connection.execute(query)}
    return sorted((name, words) for name, words in last.items() if words.startswith(TEMPLATE_FAILED))


async def idle_monitor_keys(tx: ReadTx, since: datetime, now: datetime) -> list[tuple[str, datetime | None]]:
    """Return the first valid keys of kind `monitor` that no program used since then, each by its name and its last use."""
    query = select(keys.c.name, keys.c.last_used_at).where(
        keys.c.kind == KeyKind.MONITOR,
        keys.c.revoked_at.is_(None),
        or_(keys.c.expires_at.is_(None), keys.c.expires_at > now),
        func.coalesce(keys.c.last_used_at, keys.c.created_at) < since,
    )
    return [(row.name, row.last_used_at) for row in await tx.connection.execute(query.order_by(keys.c.id).limit(SHOWN))]


async def _count(tx: ReadTx, query: Select[int]) -> int:
    return int(await tx.connection.scalar(query) or 0)
