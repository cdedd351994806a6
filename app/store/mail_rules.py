"""Mail rules in the database, texts to try one on, and the mails that reported nothing.

What the rules mean is decided elsewhere. Ignored mails are added by the mail listener, listed for administrators and deleted after a week.
"""

from dataclasses import asdict, dataclass

from sqlalchemy import func, insert, or_, select, text

from app.domain.event import RunOutcome
from app.domain.ignored_mail import IgnoredMail, ListedIgnoredMail
from app.domain.mail_rule import BODY_SEARCHED, MailRule, ToolText
from app.store.repository import Page, Repository, Window, equals
from app.store.row_mapping import readable
from app.store.tables import events, ignored_mails
from app.store.tables_managed import mail_rules
from app.store.transactions import ReadTx, WriteTx

TEXTS_MOST = 50
_LOOKED_AT = 5_000  # newest events: the cost must not grow with the history
_HAS_READING = {
    "sqlite": "json_type(events.extra, '$.reading') IS NOT NULL",
    "postgresql": "jsonb_exists(events.extra, 'reading')",
}
MAIL_RULES = Repository(mail_rules, MailRule, noun="mail rule", prefix="mrl")


async def page_mail_rules(
    tx: ReadTx,
    window: Window,
    *,
    customer_id: str | None = None,
    name: str | None = None,
    enabled: bool | None = None,
) -> Page[MailRule]:
    """Return mail rules in the order of their ids, filtered."""
    return await MAIL_RULES.page(tx, equals(mail_rules, customer_id=customer_id, name=name, enabled=enabled), window)


async def mail_rules_for(tx: ReadTx, customer_id: str) -> list[MailRule]:
    """Return the enabled rules that hold for a customer, in the order in which they are tried."""
    holds = or_(mail_rules.c.customer_id.is_(None), mail_rules.c.customer_id == customer_id)
    rows = await tx.connection.execute(
        select(mail_rules).where(mail_rules.c.enabled, holds).order_by(mail_rules.c.position, mail_rules.c.id)
    )
    return readable(rows, MAIL_RULES.mapping.read, "mail rule")


async def taught_rules(tx: ReadTx, customer_id: str) -> list[MailRule]:
    """Return the rules of a customer that were taught, whether or not they are enabled."""
    taught = mail_rules.c.taught_from.is_not(None), mail_rules.c.customer_id == customer_id
    rows = await tx.connection.execute(select(mail_rules).where(*taught).order_by(mail_rules.c.id))
    return readable(rows, MAIL_RULES.mapping.read, "mail rule")


@dataclass(frozen=True, slots=True)
class ReadText:
    """A text that a tool sent, and what its event says: `outcome` and `job` as they were decided when it arrived."""

    event_id: str
    customer_id: str
    text: ToolText
    outcome: RunOutcome | None
    job: str | None


async def newest_read_texts(tx: ReadTx, customer_id: str | None) -> list[ReadText]:
    """Return the newest texts, at most 50, among the newest 5000 events; None: of every customer."""
    has_reading = text(_HAS_READING["sqlite" if tx.is_sqlite else "postgresql"])
    newest = select(events.c.id).order_by(events.c.id.desc()).limit(_LOOKED_AT).subquery()
    of_customer = [] if customer_id is None else [events.c.customer_id == customer_id]
    body = func.substr(events.c.log, 1, BODY_SEARCHED).label("body")
    query = (
        select(
            events.c.id, events.c.customer_id, events.c.message, body, events.c.labels, events.c.outcome, events.c.job
        )
        .where(events.c.id.in_(select(newest.c.id)), events.c.extra.is_not(None), has_reading, *of_customer)
        .order_by(events.c.id.desc())
        .limit(TEXTS_MOST)
    )
    return [
        ReadText(
            row.id,
            row.customer_id,
            ToolText(row.message or "", labels.get("sender") or labels.get("tool") or "", row.body or ""),
            None if row.outcome is None else RunOutcome(row.outcome),
            row.job,
        )
        for row in await tx.connection.execute(query)
        for labels in [row.labels or {}]
    ]


IGNORED_MAILS = Repository(ignored_mails, IgnoredMail, noun="ignored mail", prefix="ign", newest_first=True)
_LISTED = Repository(ignored_mails, ListedIgnoredMail, noun="ignored mail", prefix="ign", newest_first=True)


async def add_ignored_mail(tx: WriteTx, mail: IgnoredMail) -> None:
    """Keep a mail."""
    await tx.connection.execute(insert(ignored_mails).values(**asdict(mail)))


async def page_ignored_mails(tx: ReadTx, window: Window, *, customer_id: str | None = None) -> Page[ListedIgnoredMail]:
    """Return mails that were put away, newest first, without their texts."""
    return await _LISTED.page(tx, equals(ignored_mails, customer_id=customer_id), window)
