"""Mail rules in the database. What they mean is decided elsewhere."""

from sqlalchemy import or_, select

from app.domain.mail_rule import MailRule
from app.store.repository import Page, Repository, Window, equals
from app.store.row_mapping import readable
from app.store.tables_managed import mail_rules
from app.store.transactions import ReadTx

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
