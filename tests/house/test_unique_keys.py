"""Holds what lets PostgreSQL distribute the large tables by customer: each of their unique keys names the customer, or is listed with its reason.

A unique key of a distributed table must contain what it is distributed by. The primary key `id` is the exception: it is random, so it is unique without a customer,
and `(customer_id, id)` can take its place.
"""

from collections.abc import Iterator

from sqlalchemy import Table, UniqueConstraint

import app.store.tables_managed  # noqa: F401  (its tables are in the metadata too)
from app.store.tables_managed import metadata

LARGE = ("agents", "jobs", "events", "runs", "job_days", "alerts", "notices", "messages", "bodies", "attempts")
WITHOUT_CUSTOMER = {
    (
        "notices",
        ("dedupe",),
    ): "made from the id of the alert or the summary, which belongs to one customer or to all of them",
    ("attempts", ("message_id", "number")): "stays with its message",
    ("bodies", ("message_id",)): "stays with its message",
}


def test_every_unique_key_of_a_large_table_has_the_customer():
    found = {
        (name, key)
        for name in LARGE
        for key in _unique_keys(metadata.tables[name])
        if "customer_id" not in key and key != ("id",)
    }
    assert found == set(WITHOUT_CUSTOMER)


def _unique_keys(table: Table) -> Iterator[tuple[str, ...]]:
    yield tuple(column.name for column in table.primary_key)
    yield from (
        tuple(column.name for column in one.columns) for one in table.constraints if isinstance(one, UniqueConstraint)
    )
    yield from (tuple(column.name for column in index.columns) for index in table.indexes if index.unique)
    yield from ((column.name,) for column in table.columns if column.unique)
