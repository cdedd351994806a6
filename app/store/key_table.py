"""Keys to look up, as a table to join with.

Both databases answer a list of many-column keys in an IN by reading the whole other table (SQLite always, PostgreSQL when the
list is long): each batch of events would cost as much as the whole history.
"""

import json
from collections.abc import Sequence

from sqlalchemy import FromClause, String, Text, func, literal, select
from sqlalchemy.dialects.postgresql import ARRAY

from app.store.transactions import ReadTx


def key_table(tx: ReadTx, rows: Sequence[tuple[str, ...]], *names: str) -> FromClause:
    """Return rows of texts as a table `wanted` with these columns; it takes one parameter a column, however many rows there are."""
    if tx.is_sqlite:
        each = func.json_each(json.dumps(rows)).table_valued("value", name="each")
        columns = (
            func.json_extract(each.c.value, f"$[{place}]", type_=String).label(name) for place, name in enumerate(names)
        )
        return select(*columns).subquery("wanted")
    columns_of = [literal([row[place] for row in rows], ARRAY(Text)) for place in range(len(names))]
    return func.unnest(*columns_of).table_valued(*names, name="wanted").render_derived()
