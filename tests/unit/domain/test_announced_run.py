"""The next run that a tool announces is used where it is valid, and ignored where it is not."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.announced_run import AnnouncedRun, announced_run_in
from app.domain.event import Event, EventKind, Phase, RunOutcome

NOW = datetime(2026, 11, 23, 1, 30, tzinfo=UTC)
ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=50) | st.datetimes().map(str),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["next", "grace_s", "x"]), inner),
)


def ended(expects: object, **more: Any) -> Event:
    fields: dict[str, Any] = {"phase": Phase.FINISHED, "outcome": RunOutcome.SUCCESS} | more
    return Event("evt_1", "cus_1", "agt_1", "k", NOW, NOW, job="db", extra={"expects": expects}, **fields)


def test_an_announced_time_becomes_the_time_until_the_next_run() -> None:
    announced = announced_run_in(ended({"next": "2026-11-24T03:00:00+02:00", "grace_s": 21600}))
    assert announced == AnnouncedRun(NOW, timedelta(hours=23, minutes=30), timedelta(hours=6))


@pytest.mark.parametrize(
    "expects",
    [
        {"next": "2026-11-24T03:00:00"},
        {"next": "2026-11-23T01:30:00Z"},
        {"next": "2026-11-22T03:00:00Z"},
        {"next": "2027-12-01T00:00:00Z"},
        {"next": "9999-12-31T23:59:59-14:00"},
        {"next": "0001-01-01T00:00:00+14:00"},
        {"next": "2026-11-23T01:30:20Z"},
        {"next": "2026-11-24T03:00:00Z", "grace_s": -1},
        {"next": "2026-11-24T03:00:00Z", "grace_s": 10**20},
        {"next": "2026-11-24T03:00:00Z", "grace_s": True},
        {"next": "2026-11-24T03:00:00Z", "grace_s": "6 h"},
        {"next": "tomorrow"},
        {"next": 1},
        {},
        None,
        ["next"],
    ],
)
def test_an_announcement_that_is_not_valid_is_ignored(expects: object) -> None:
    assert announced_run_in(ended(expects)) is None


def test_only_the_end_of_a_run_announces_the_next() -> None:
    expects = {"next": "2026-11-24T03:00:00Z"}
    assert announced_run_in(ended(expects, phase=Phase.STARTED, outcome=None)) is None
    assert announced_run_in(ended(expects, kind=EventKind.MISSED, outcome=RunOutcome.MISSED)) is None
    assert announced_run_in(ended(expects, outcome=RunOutcome.FAILURE)) is not None


@given(ANY)
def test_any_value_is_read_without_an_error(expects: object) -> None:
    announced = announced_run_in(ended(expects))
    assert announced is None or timedelta(0) < announced.until_next <= timedelta(days=366)
