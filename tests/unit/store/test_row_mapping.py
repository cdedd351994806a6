"""Rows and domain types: each field finds its column by its name and type, and comes back as it was."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, cast

import pytest
from sqlalchemy import Column, Integer, MetaData, Row, String, Table

from app.domain.expectation import Expectation
from app.domain.job import JobState
from app.domain.matcher import Comparison, Matcher
from app.domain.recipient import Address
from app.store.row_mapping import RowMapping, readable
from app.store.types import Json

PLAIN = Table(
    "plain",
    MetaData(),
    Column("id", String, primary_key=True),
    *(Column(name, Json) for name in ("labels", "matchers", "transports", "expectation", "names")),
    *(Column(name, Integer) for name in ("grace_s", "longest_s")),
    *(Column(name, String) for name in ("state", "last_state", "reported_text")),
)


@dataclass(frozen=True, slots=True)
class Sample:
    id: str
    grace: timedelta
    longest: timedelta | None
    state: JobState
    last_state: JobState | None
    labels: Mapping[str, str]
    matchers: tuple[Matcher, ...]
    transports: tuple[Address, ...]
    expectation: Expectation | None
    names: tuple[str, ...]
    reported: str | None
    not_stored: int = 7


class Stored:
    """Stands for a row: SQLAlchemy's own cannot be made without a database."""

    def __init__(self, values: Mapping[str, object]) -> None:
        self.__dict__.update(values)


def row(**values: object) -> Row[Any]:
    return cast("Row[Any]", Stored(values))


MAPPING = RowMapping(PLAIN, Sample, without=("not_stored",), renamed={"reported": "reported_text"})
FULL = Sample(
    id="smp_1",
    grace=timedelta(minutes=5),
    longest=timedelta(hours=1),
    state=JobState.OK,
    last_state=JobState.FAILED,
    labels={"site": "hq"},
    matchers=(Matcher("job", Comparison.LIKE, "nightly-*"),),
    transports=(Address("smtp", "ann@example.org"),),
    expectation=Expectation(grace=timedelta(0), cron="0 2 * * *", time_zone="Europe/Berlin"),
    names=("a", "b"),
    reported="well",
)
EMPTY = Sample("smp_2", timedelta(0), None, JobState.NEW, None, {}, (), (), None, (), None)


@pytest.mark.parametrize("sample", [FULL, EMPTY])
def test_what_was_written_is_read_again(sample: Sample) -> None:
    assert MAPPING.read(row(**MAPPING.write(sample))) == sample


def test_a_column_has_plain_values_by_its_own_name() -> None:
    written = MAPPING.write(FULL)
    assert (written["grace_s"], written["longest_s"], written["reported_text"]) == (300, 3600, "well")
    assert written["matchers"] == [{"field": "job", "test": "like", "value": "nightly-*"}]
    assert type(written["state"]) is str
    assert "not_stored" not in written


def test_labels_that_were_never_stored_are_none_at_all() -> None:
    assert MAPPING.read(row(**MAPPING.write(FULL) | {"labels": None})).labels == {}


def test_a_value_of_another_version_cannot_be_read() -> None:
    with pytest.raises(ValueError, match="mood"):
        MAPPING.read(row(**MAPPING.write(FULL) | {"state": "mood"}))


def test_a_row_that_cannot_be_read_is_logged_once_and_not_with_each_pass(capsys: pytest.CaptureFixture[str]) -> None:
    def read(state: str) -> int:
        rows = [row(**MAPPING.write(FULL) | {"id": "smp_2", "state": state})]
        assert readable(rows, MAPPING.read, "sample") == []
        return capsys.readouterr().err.count("row left out")

    assert [read("mood"), read("mood"), read("mood")] == [1, 0, 0]
    assert read("another mood") == 1, "it is unreadable for another reason now"


def test_a_field_without_a_column_is_noticed_at_the_start() -> None:
    with pytest.raises(TypeError, match="not_stored"):
        RowMapping(PLAIN, Sample)
