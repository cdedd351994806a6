"""Makes an empty database work before anything is configured, and keeps what follows the settings in step at each start."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from app.core.clock import Clock, now
from app.core.errors import BadSettings
from app.core.ids import new_id
from app.core.secret import Secret, hint_of, new_key
from app.core.settings import Settings
from app.domain.alert import AlertKind
from app.domain.customer import Customer
from app.domain.expectation import Expectation, slot_after
from app.domain.key import Key, KeyKind
from app.domain.recipient import Address
from app.store import first_start as stored
from app.store.customers import CUSTOMERS
from app.store.json_forms import addresses_json
from app.store.keys import insert_key
from app.store.recipients import RECIPIENTS
from app.store.routes import ROUTES
from app.store.rules import RULES
from app.store.summary_schedules import SUMMARY_SCHEDULES
from app.store.transactions import Database, WriteTx

_HOUR_S = 3600
# kind, in a row, silent after: what a newcomer wants to hear of.
_RULES = (
    (AlertKind.FAILED, 1, None),
    (AlertKind.WARNING, 3, None),
    (AlertKind.MISSED, 1, None),
    (AlertKind.OVERRUN, 1, None),
    (AlertKind.AGENT_SILENT, 1, 48 * _HOUR_S),
)


@dataclass(frozen=True, slots=True)
class FirstStart:
    """What to show once: keys that were generated just now (else None), and where mail goes, in words."""

    admin_key: str | None
    enrol_key: str | None
    mail_goes_to: str


async def first_start(store: Database, settings: Settings, secret: Secret, clock: Clock = now) -> FirstStart:
    """Fill an empty database, in one transaction, whoever else starts now; then bring keys and recipient in step."""
    at = clock()
    admin_key = enrol_key = None
    transports = _transports(settings)
    async with store.write() as tx:
        await stored.lock_first_start(tx)
        if await stored.is_new(tx):
            customer_id = await _furnish(tx, settings, transports, at)
            if settings.admin_key is None:
                admin_key = await _generate(tx, secret, KeyKind.ADMIN, None, at)
            if settings.enrol_key is None:
                enrol_key = await _generate(tx, secret, KeyKind.ENROL, customer_id, at)
        await _keep_fixed_keys(tx, settings, secret, at)
        follows = await stored.follow_settings(tx, transports, at)
    return FirstStart(admin_key, enrol_key, _mail_goes_to(settings) if follows else "where the recipients say")


def _transports(settings: Settings) -> list[Address]:
    if settings.smtp_url is not None and settings.admin_email is not None:
        return [Address("smtp", settings.admin_email)]
    return [Address("file", settings.admin_email or "admin@localhost")]


def _mail_goes_to(settings: Settings) -> str:
    if settings.smtp_url is None:
        return f"{settings.var_dir / 'mail'} (files; set TOCSIN_SMTP_URL and TOCSIN_ADMIN_EMAIL to send it)"
    if settings.admin_email is None:
        return f"{settings.var_dir / 'mail'} (files; set TOCSIN_ADMIN_EMAIL to send it over SMTP)"
    return f"{settings.admin_email} over SMTP"


async def _generate(tx: WriteTx, secret: Secret, kind: KeyKind, customer_id: str | None, at: datetime) -> str:
    key = new_key(kind)
    told = Key(new_id("key"), kind, "made at the first start", hint_of(key), at, customer_id)
    await insert_key(tx, told, secret.hash_key(key))
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


async def _furnish(tx: WriteTx, settings: Settings, transports: list[Address], at: datetime) -> str:
    """Add the customer, its rules, recipient, route and summary; give the customer's id."""
    customer_id, recipient_id = new_id("cus"), new_id("rcp")
    await CUSTOMERS.insert(tx, Customer(customer_id, "My backups", settings.time_zone, at))
    for position, (kind, after_in_row, silent_after_s) in enumerate(_RULES, start=1):
        rule = {"id": new_id("rul"), "name": kind.value, "kind": kind.value, "position": position, "enabled": True}
        counts = {"after_in_row": after_in_row, "retry_within_s": 0, "silent_after_s": silent_after_s}
        await RULES.insert(tx, {**rule, **counts, "matchers": [], "created_at": at})
    recipient = {"id": recipient_id, "name": "admin", "transports": addresses_json(transports)}
    await RECIPIENTS.insert(tx, {**recipient, "follows_settings": True, "created_at": at})
    await ROUTES.insert(tx, _everything(recipient_id, at))
    await SUMMARY_SCHEDULES.insert(tx, _every_morning(recipient_id, settings.time_zone, at))
    return customer_id


def _everything(recipient_id: str, at: datetime) -> dict[str, object]:
    return {
        "id": new_id("rte"),
        "name": "everything",
        "position": 1,
        "enabled": True,
        "matchers": [],
        "recipients": [recipient_id],
        "group_by": ["customer"],
        "group_wait_s": 0,
        "group_interval_s": 300,
        "repeat_every_s": 24 * _HOUR_S,
        "send_recovery": True,
        "goes_on": False,
        "created_at": at,
    }


def _every_morning(recipient_id: str, time_zone: str, at: datetime) -> dict[str, object]:
    seven = Expectation(grace=timedelta(0), cron="0 7 * * *", time_zone=time_zone)
    return {
        "id": new_id("sch"),
        "name": "every morning",
        "enabled": True,
        "every": "day",
        "hour": 7,
        "minute": 0,
        "weekday": 1,
        "month_day": 1,
        "time_zone": time_zone,
        "matchers": [],
        "recipients": [recipient_id],
        "next_at": slot_after(seven, at),
        "last_number": 0,
        "created_at": at,
    }
