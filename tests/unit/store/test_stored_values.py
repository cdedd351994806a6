"""Values of prepared statements: what is written is read back the same, also what few senders send."""

import sqlite3
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from sqlalchemy import Column, MetaData, Table, bindparam, select
from sqlalchemy.dialects import sqlite

from app.store.prepared import Prepared
from app.store.types import Json, Utc

_things = Table("things", MetaData(), Column("json", Json), Column("began", Utc), Column("ended", Utc))
_INSERT = Prepared(lambda db: db.insert_each(_things, ("json", "began", "ended")))
_ALL = Prepared(lambda _: select(_things.c.json, _things.c.began, _things.c.ended))
_AT = Prepared(lambda _: select(_things.c.began).where(_things.c.began == bindparam("at", type_=Utc)))
_DIALECT = sqlite.dialect()  # type: ignore[no-untyped-call]

_texts = st.text(st.characters(exclude_categories=()))  # also halves of a character
_plain = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | _texts
_json = st.recursive(_plain, lambda inner: st.lists(inner) | st.dictionaries(_texts, inner), max_leaves=10)
_moments = st.none() | st.datetimes(
    min_value=datetime(1970, 1, 1),  # noqa: DTZ001  (Hypothesis adds the zone)
    timezones=st.sampled_from([UTC, timezone(timedelta(hours=-3, minutes=-30))]),
)


def _nested(depth: int) -> object:
    value: object = "deep"
    for _ in range(depth):
        value = [value]
    return value


@given(st.lists(st.tuples(_json, _moments, _moments), max_size=5))
@example([({"message": "cut \ud83d"}, None, None), ({}, None, None), (_nested(300), None, None)])
def test_values_are_read_back_as_they_were_written(rows: list[tuple[object, datetime | None, datetime | None]]) -> None:
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE TABLE things (json, began, ended)")
    insert, every = _INSERT.compiled(_DIALECT), _ALL.compiled(_DIALECT)
    if rows:
        columns = dict(zip(("json", "began", "ended"), map(list, zip(*rows, strict=True)), strict=True))
        connection.executemany(insert.sql, zip(*insert.columns(columns), strict=True))
    assert every.read(connection.execute(every.sql).fetchall()) == rows
    connection.close()


def test_a_time_without_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="without zone"):
        _AT.compiled(_DIALECT).arguments({"at": datetime(2026, 1, 1)})  # noqa: DTZ001
