"""Fills an empty database so that it works before anything is configured, and applies the settings again at each start."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from app.admin.editing import Editor
from app.admin.people import make_link
from app.core.clock import Clock, now
from app.core.errors import BadSettings
from app.core.ids import new_id
from app.core.secret import Secret, hint_of, new_key
from app.core.settings import Settings
from app.domain.alert import AlertKind, Rule
from app.domain.calendar import next_time
from app.domain.customer import Customer
from app.domain.key import Key, KeyKind
from app.domain.one_time_link import LinkPurpose
from app.domain.recipient import Address, Recipient
from app.domain.route import Route
from app.domain.summary_schedule import SummarySchedule
from app.store import first_start as stored
from app.store.customers import CUSTOMERS
from app.store.keys import insert_key
from app.store.people import is_anybody_there
from app.store.routing import RECIPIENTS, ROUTES, RULES
from app.store.summaries import SUMMARY_SCHEDULES
from app.store.transactions import Database, WriteTx

# Kind, how many in a row, and silent after: what a new administrator wants to be alerted of.
_RULES = (
    (AlertKind.FAILED, 1, None),
    (AlertKind.WARNING, 3, None),
    (AlertKind.MISSED, 1, None),
    (AlertKind.OVERRUN, 1, None),
    (AlertKind.AGENT_SILENT, 1, timedelta(hours=48)),
    (AlertKind.UNCLEAR, 1, None),
    (AlertKind.CLOCK_OFF, 1, None),
)


@dataclass(frozen=True, slots=True)
class FirstStart:
    """What to show once: keys that were generated just now (otherwise None), and where mail goes, in words."""

    admin_key: str | None
    enrol_key: str | None
    mail_goes_to: str
    link_token: str | None = None  # of the first link, which makes the first owner; only on a new database
    is_nobody_there: bool = False  # whether no person can sign in yet


async def first_start(database: Database, settings: Settings, secret: Secret, clock: Clock = now) -> FirstStart:
    """Fill an empty database, in one transaction, even if other processes start now; then apply the settings to keys and recipient."""
    at = clock()
    admin_key = enrol_key = link_token = None
    # First choice first; none if mail can only go to files.
    wanted = {"smtp": settings.smtp_url, "graph": settings.graph_mailbox}
    ways = [kind for kind, setting in wanted.items() if setting is not None and settings.admin_email is not None]
    transports = [Address(kind, settings.admin_email or "admin@localhost") for kind in ways or ["file"]]
    async with database.write() as tx:
        await stored.lock_first_start(tx)
        if await stored.is_new(tx):
            customer_id = await _add_defaults(tx, settings, transports, at)
            if settings.admin_key is None:
                admin_key = await _generate(tx, secret, KeyKind.ADMIN, None, at)
            if settings.enrol_key is None:
                enrol_key = await _generate(tx, secret, KeyKind.ENROL, customer_id, at)
            by = Editor("first start", at, lambda _stage: None)
            link_token = await make_link(tx, secret, LinkPurpose.FIRST, None, by)
        await _keep_fixed_keys(tx, settings, secret, at)
        follows = await stored.follow_settings(tx, transports, at)
        is_nobody_there = not await is_anybody_there(tx)
    if not follows:
        goes_to = "where the recipients say"
    elif ways:
        names = {"smtp": "SMTP", "graph": "Microsoft Graph"}
        goes_to = f"{settings.admin_email} over {', else '.join(names[kind] for kind in ways)}"
    else:
        goes_to = f"{settings.var_dir / 'mail'} (files; `tocsin setup mail` has it sent)"
    return FirstStart(admin_key, enrol_key, goes_to, link_token, is_nobody_there)


async def _generate(tx: WriteTx, secret: Secret, kind: KeyKind, customer_id: str | None, at: datetime) -> str:
    key = new_key(kind)
    await insert_key(
        tx, Key(new_id("key"), kind, "made at the first start", hint_of(key), at, customer_id), secret.hash_key(key)
    )
    return key


async def _keep_fixed_keys(tx: WriteTx, settings: Settings, secret: Secret, at: datetime) -> None:
    admin, enrol = settings.admin_key, settings.enrol_key
    if admin is not None and enrol is not None and admin.get_secret_value() == enrol.get_secret_value():
        raise BadSettings("TOCSIN_ENROL_KEY: must differ from TOCSIN_ADMIN_KEY; every agent would be an admin")
    if admin is not None:
        text = admin.get_secret_value()
        key = Key(new_id("key"), KeyKind.ADMIN, "TOCSIN_ADMIN_KEY", hint_of(text), at)
        await stored.keep_fixed_key(tx, key, secret.hash_key(text))
    if enrol is not None:
        text = enrol.get_secret_value()
        key = Key(new_id("key"), KeyKind.ENROL, "TOCSIN_ENROL_KEY", hint_of(text), at, await stored.first_customer(tx))
        await stored.keep_fixed_key(tx, key, secret.hash_key(text))


async def _add_defaults(tx: WriteTx, settings: Settings, transports: list[Address], at: datetime) -> str:
    """Add the customer, its rules, recipient, route and summary schedule, and return the customer's id."""
    customer = Customer(new_id("cus"), "My backups", settings.time_zone, at)
    await CUSTOMERS.insert(tx, customer)
    for position, (kind, after_in_row, silent_after) in enumerate(_RULES, start=1):
        rule = Rule(
            id=new_id("rul"),
            name=kind.value,
            kind=kind,
            after_in_row=after_in_row,
            silent_after=silent_after,
            position=position,
            created_at=at,
        )
        await RULES.insert(tx, rule)
    recipient = Recipient(new_id("rcp"), "admin", None, tuple(transports), follows_settings=True, created_at=at)
    await RECIPIENTS.insert(tx, recipient)
    route = Route(
        id=new_id("rte"),
        name="everything",
        recipients=(recipient.id,),
        repeat_every=timedelta(days=1),
        position=1,
        created_at=at,
    )
    await ROUTES.insert(tx, route)
    schedule = SummarySchedule(
        id=new_id("sch"),
        name="every morning",
        recipients=(recipient.id,),
        created_at=at,
        hour=7,
        time_zone=settings.time_zone,
    )
    await SUMMARY_SCHEDULES.insert(tx, replace(schedule, next_at=next_time(schedule.recurrence, at)))
    return customer.id
