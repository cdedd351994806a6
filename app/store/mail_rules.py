"""Mail rules as stored. It must not decide what they mean."""

from typing import Any

from sqlalchemy import Row, or_, select

from app.domain.event import Activity, RunOutcome
from app.domain.mail_rule import MailRule
from app.store.readable import readable
from app.store.records import Records
from app.store.tables_managed import mail_rules
from app.store.transactions import ReadTx

MAIL_RULES = Records(mail_rules, "mrl")


async def mail_rules_for(tx: ReadTx, customer_id: str) -> list[MailRule]:
    """Give the enabled rules that hold for a customer, in the order in which they are asked."""
    holds = or_(mail_rules.c.customer_id.is_(None), mail_rules.c.customer_id == customer_id)
    rows = await tx.connection.execute(
        select(mail_rules).where(mail_rules.c.enabled, holds).order_by(mail_rules.c.position, mail_rules.c.id)
    )
    return readable(rows, _rule_of, "mail rule")


def _rule_of(row: Row[Any]) -> MailRule:
    return MailRule(row.id, row.subject, RunOutcome(row.outcome), Activity(row.activity), row.job)
