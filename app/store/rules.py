"""Rules as stored. It must not decide what they open."""

from datetime import timedelta
from typing import Any

from sqlalchemy import Row, select

from app.domain.alert import AlertKind, Rule
from app.store.json_forms import matchers_of, seconds_or_none
from app.store.readable import readable
from app.store.records import Records
from app.store.tables_managed import rules
from app.store.transactions import ReadTx

RULES = Records(rules, "rul")


async def all_rules(tx: ReadTx) -> list[Rule]:
    """Give every rule, enabled or not, in the order in which they are asked."""
    rows = await tx.connection.execute(select(rules).order_by(rules.c.position, rules.c.id))
    return readable(rows, _rule_of, "rule")


def _rule_of(row: Row[Any]) -> Rule:
    return Rule(
        id=row.id,
        name=row.name,
        kind=AlertKind(row.kind),
        customer_id=row.customer_id,
        enabled=row.enabled,
        matchers=matchers_of(row.matchers),
        after_in_row=row.after_in_row,
        retry_within=timedelta(seconds=row.retry_within_s),
        silent_after=seconds_or_none(row.silent_after_s),
    )
