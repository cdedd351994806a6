"""Who is notified of what, and how: rules, routes, recipients, silences, and the state of each transport.

Which rules open an alert, which route matches and what a silence mutes is decided elsewhere.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from sqlalchemy import bindparam, case, func, literal, select, text, update
from sqlalchemy.dialects import postgresql, sqlite

from app.domain.alert import AlertKind, Rule
from app.domain.bounced_address import BouncedAddress
from app.domain.customer import Customer
from app.domain.recipient import Recipient
from app.domain.route import Route, Silence
from app.store.customers import CUSTOMERS, CUSTOMERS_BY_ID, customers_by_id
from app.store.prepared import Prepared, Together
from app.store.repository import Page, Repository, Window, equals
from app.store.returned_mails import ALL_BOUNCED, bounced_of
from app.store.row_mapping import UNREADABLE, readable_values
from app.store.tables import messages
from app.store.tables_managed import recipients, routes, rules, silences, summary_schedules, transport_tests
from app.store.transactions import ReadTx, WriteTx
from app.store.types import Utc

ROUTES = Repository(routes, Route, noun="route", prefix="rte")


_ALL_ROUTES = Prepared(lambda _: select(*ROUTES.mapping.columns).order_by(routes.c.position, routes.c.id))


async def page_routes(
    tx: ReadTx,
    window: Window,
    *,
    customer_id: str | None = None,
    name: str | None = None,
    enabled: bool | None = None,
) -> Page[Route]:
    """Return routes in the order of their ids, filtered."""
    return await ROUTES.page(tx, equals(routes, customer_id=customer_id, name=name, enabled=enabled), window)


async def all_routes(tx: ReadTx) -> list[Route]:
    """Return every route, enabled or not, in the order in which they are tried."""
    return readable_values(await tx.fetch(_ALL_ROUTES), ROUTES.mapping, "route")


RULES = Repository(rules, Rule, noun="rule", prefix="rul")


ALL_RULES = Prepared(lambda _: select(*RULES.mapping.columns).order_by(rules.c.position, rules.c.id))


async def page_rules(
    tx: ReadTx,
    window: Window,
    *,
    customer_id: str | None = None,
    name: str | None = None,
    kind: AlertKind | None = None,
    enabled: bool | None = None,
) -> Page[Rule]:
    """Return rules in the order of their ids, filtered."""
    same = equals(rules, customer_id=customer_id, name=name, kind=kind, enabled=enabled)
    return await RULES.page(tx, same, window)


async def all_rules(tx: ReadTx) -> list[Rule]:
    """Return every rule, enabled or not, in the order in which they are tried."""
    return readable_values(await tx.fetch(ALL_RULES), RULES.mapping, "rule")


_CUSTOMERS_AND_RULES = Together(CUSTOMERS_BY_ID, ALL_RULES)


async def customers_and_rules(tx: ReadTx, ids: Collection[str]) -> tuple[dict[str, Customer], list[Rule]]:
    """Return those of `ids` that exist and can be read, and every rule in the order in which they are tried."""
    try:
        found, of_rules = await tx.fetch_together(_CUSTOMERS_AND_RULES, ids=sorted(ids))
    except UNREADABLE:  # SQLite holds a damaged time: a damaged customer must not hide the others
        return await customers_by_id(tx, ids), await all_rules(tx)
    known = {one.id: one for one in readable_values(found, CUSTOMERS.mapping, "customer")}
    return known, readable_values(of_rules, RULES.mapping, "rule")


RECIPIENTS = Repository(
    recipients, Recipient, noun="recipient", prefix="rcp", edited=("name", "customer_id", "transports")
)


_RECIPIENTS_BY_ID = Prepared(lambda db: select(*RECIPIENTS.mapping.columns).where(db.one_of(recipients.c.id, "ids")))
_ALL_RECIPIENTS = Prepared(lambda _: select(*RECIPIENTS.mapping.columns).order_by(recipients.c.id))


async def page_recipients(
    tx: ReadTx, window: Window, *, customer_id: str | None = None, name: str | None = None
) -> Page[Recipient]:
    """Return recipients in the order of their ids, filtered by customer and name."""
    return await RECIPIENTS.page(tx, equals(recipients, customer_id=customer_id, name=name), window)


async def recipients_by_id(tx: ReadTx, ids: Collection[str]) -> dict[str, Recipient]:
    """Return those of `ids` that exist."""
    rows = await tx.fetch(_RECIPIENTS_BY_ID, ids=sorted(ids)) if ids else []
    return {one.id: one for one in readable_values(rows, RECIPIENTS.mapping, "recipient")}


_WAYS = Together(_RECIPIENTS_BY_ID, ALL_BOUNCED)


async def recipients_and_bounced(tx: ReadTx, ids: Collection[str]) -> tuple[dict[str, Recipient], list[BouncedAddress]]:
    """Return those of `ids` that exist, and every address of which the last mail came back."""
    found, bounced = await tx.fetch_together(_WAYS, ids=sorted(ids))
    return {one.id: one for one in readable_values(found, RECIPIENTS.mapping, "recipient")}, bounced_of(bounced)


async def all_recipients(tx: ReadTx) -> list[Recipient]:
    """Return every recipient; there are few."""
    return readable_values(await tx.fetch(_ALL_RECIPIENTS), RECIPIENTS.mapping, "recipient")


async def uses_of_recipient(tx: ReadTx, recipient_id: str) -> list[str]:
    """Return the names of the routes and summary schedules that lead to the recipient, such as `route 'nights'`."""
    found: list[str] = []
    for noun, table in (("route", routes), ("summary schedule", summary_schedules)):
        rows = await tx.connection.execute(select(table.c.name, table.c.recipients).order_by(table.c.name))
        found += [f"{noun} '{row.name}'" for row in rows if recipient_id in row.recipients]
    return found


SilenceState = Literal["current", "coming", "ended"]
SILENCES = Repository(
    silences,
    Silence,
    noun="silence",
    prefix="sil",
    edited=("customer_id", "matchers", "starts_at", "ends_at", "comment", "until_fixed"),
    newest_first=True,
)


_CURRENT_SILENCES = Prepared(
    lambda _: (
        select(*SILENCES.mapping.columns)
        .where(silences.c.ends_at > bindparam("now"), silences.c.starts_at <= bindparam("now"))
        .order_by(silences.c.id)
    )
)


async def page_silences(
    tx: ReadTx,
    window: Window,
    now: datetime,
    *,
    customer_id: str | None = None,
    created_by: str | None = None,
    state: SilenceState | None = None,
) -> Page[Silence]:
    """Return silences, newest first, filtered; `state` is as of `now`."""
    conditions = equals(silences, customer_id=customer_id, created_by=created_by)
    begun, ended = silences.c.starts_at <= now, silences.c.ends_at <= now
    match state:
        case "current":
            conditions += [begun, ~ended]
        case "coming":
            conditions += [~begun, ~ended]
        case "ended":
            conditions.append(ended)
        case None:
            pass
    return await SILENCES.page(tx, conditions, window)


async def current_silences(tx: ReadTx, now: datetime) -> list[Silence]:
    """Return the silences in force at `now`: begun, and not ended yet."""
    return readable_values(await tx.fetch(_CURRENT_SILENCES, now=now), SILENCES.mapping, "silence")


_ROUTING = Together(ALL_BOUNCED, _ALL_ROUTES, _CURRENT_SILENCES)


async def current_routing(tx: ReadTx, now: datetime) -> tuple[list[BouncedAddress], list[Route], list[Silence]]:
    """Return every address of which the last mail came back, every route, and the silences in force at `now`."""
    bounced, of_routes, of_silences = await tx.fetch_together(_ROUTING, now=now)
    return (
        bounced_of(bounced),
        readable_values(of_routes, ROUTES.mapping, "route"),
        readable_values(of_silences, SILENCES.mapping, "silence"),
    )


async def end_silence(tx: WriteTx, silence_id: str, at: datetime) -> bool:
    """End a silence at `at`; return False, and change nothing, if it has ended by then."""
    own = silences.c
    # One that has not begun must not end before its start.
    starts_at = case((own.starts_at > at, literal(at, Utc())), else_=own.starts_at)
    ended = update(silences).where(own.id == silence_id, own.ends_at > at)
    values = {"starts_at": starts_at, "ends_at": at, "version": own.version + 1}
    return (await tx.connection.execute(ended.values(**values))).rowcount > 0


_TEST_TEXT_MOST = 2000
_WAITING = text(
    "messages.state IN ('queued', 'unknown')"
)  # literally as in the partial index, or SQLite does not use it


@dataclass(frozen=True, slots=True)
class TransportTest:
    """How the last test of a transport ended."""

    transport: str
    at: datetime
    outcome: str  # sent | temporary | permanent | unknown
    code: str
    text: str


@dataclass(frozen=True, slots=True)
class TransportQueue:
    """What waits for a transport: how many messages, and since when the oldest is due."""

    transport: str
    messages: int
    oldest_due_at: datetime


async def last_transport_tests(tx: ReadTx) -> dict[str, TransportTest]:
    """Return the last test of each transport that was tested."""
    rows = await tx.connection.execute(select(transport_tests))
    return {row.transport: TransportTest(row.transport, row.at, row.outcome, row.code, row.text) for row in rows}


async def save_transport_test(tx: WriteTx, test: TransportTest) -> None:
    """Store how a test ended, in place of the one before."""
    insert = (sqlite.insert if tx.is_sqlite else postgresql.insert)(transport_tests)
    ended = {"at": test.at, "outcome": test.outcome, "code": test.code, "text": test.text[:_TEST_TEXT_MOST]}
    upsert = insert.values(transport=test.transport, **ended).on_conflict_do_update(
        index_elements=["transport"], set_=ended
    )
    await tx.connection.execute(upsert)


async def transport_queues(tx: ReadTx) -> dict[str, TransportQueue]:
    """Return what is not settled, by transport. Only the outbox's index of waiting messages is read."""
    query = (
        select(messages.c.transport, func.count().label("messages"), func.min(messages.c.due_at).label("oldest"))
        .where(_WAITING)
        .group_by(messages.c.transport)
    )
    rows = await tx.connection.execute(query)
    return {row.transport: TransportQueue(row.transport, row.messages, row.oldest) for row in rows}
