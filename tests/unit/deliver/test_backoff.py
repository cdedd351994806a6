"""The waits between attempts: 30 s, 1, 2, 5, 10, 20, 30, 60 min with a jitter of a fifth, at most an hour, and not less than the server asked for."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.deliver.after_attempt import wait_after

MINUTES = [0.5, 1, 2, 5, 10, 20, 30, 60]


@pytest.mark.parametrize(("failures", "minutes"), list(enumerate(MINUTES, start=1)))
def test_each_failure_waits_longer(failures: int, minutes: float) -> None:
    assert wait_after(failures, 0.5) == timedelta(minutes=minutes)


def test_the_wait_never_exceeds_an_hour() -> None:
    assert wait_after(500, 0.5) == timedelta(hours=1)


@given(st.integers(min_value=-3, max_value=200), st.floats(0, 1))
def test_jitter_changes_the_wait_by_at_most_a_fifth(failures: int, chance: float) -> None:
    usual = timedelta(minutes=MINUTES[min(max(failures, 1), len(MINUTES)) - 1])
    wait = wait_after(failures, chance)
    assert usual * 0.79 <= wait <= min(usual * 1.21, timedelta(hours=1))


@given(st.integers(1, 20), st.floats(0, 1), st.timedeltas(timedelta(0), timedelta(days=400)))
def test_a_server_can_ask_for_a_longer_wait_but_not_longer_than_an_hour(
    failures: int, chance: float, wish: timedelta
) -> None:
    wait = wait_after(failures, chance, wish)
    assert min(wish, timedelta(hours=1)) <= wait <= timedelta(hours=1)
    assert wait >= wait_after(failures, chance)
