"""Rules in the database. Which alerts they open is decided elsewhere."""

from sqlalchemy import select

from app.domain.alert import AlertKind, Rule
from app.store.prepared import Prepared
from app.store.repository import Page, Repository, Window, equals
from app.store.row_mapping import readable_values
from app.store.tables_managed import rules
from app.store.transactions import ReadTx

RULES = Repository(rules, Rule, noun="rule", prefix="rul")


_ALL = Prepared(lambda _: select(*RULES.mapping.columns).order_by(rules.c.position, rules.c.id))


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
    return readable_values(await tx.fetch(_ALL), RULES.mapping, "rule")
