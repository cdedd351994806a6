"""Copies of dataclasses with changed fields are those that the standard library makes."""

import dataclasses
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.replacing import replace
from app.domain.job import Job
from app.domain.run import Run

_CHANGES = st.fixed_dictionaries(
    {},
    optional={
        "run_key": st.text(max_size=3),
        "message": st.none() | st.text(max_size=3),
        "ended_at": st.none() | st.datetimes(timezones=st.just(UTC)),
        "metrics": st.dictionaries(st.text(max_size=2), st.floats(allow_nan=False), max_size=2),
    },
)


@given(first=_CHANGES, second=_CHANGES)
def test_a_copy_is_that_of_the_standard_library(first: dict[str, object], second: dict[str, object]) -> None:
    run = Run("run_1", "cus_1", "job_1", "run:1", datetime(2026, 1, 1, tzinfo=UTC))
    expected = dataclasses.replace(dataclasses.replace(run, **first), **second)  # type: ignore[arg-type]
    assert replace(replace(run, **first), **second) == expected  # type: ignore[arg-type]
    assert run == Run("run_1", "cus_1", "job_1", "run:1", datetime(2026, 1, 1, tzinfo=UTC))


def test_a_field_that_the_class_does_not_have_is_refused() -> None:
    run = Run("run_1", "cus_1", "job_1", "run:1", datetime(2026, 1, 1, tzinfo=UTC))
    with pytest.raises(TypeError, match="Run has no field 'mesage'"):
        replace(run, mesage="disk full")  # type: ignore[call-arg]


def test_a_class_with_slots_and_one_that_checks_its_fields_are_copied_by_the_standard_library() -> None:
    @dataclasses.dataclass(frozen=True, slots=True)
    class _WithSlots:
        one: int
        two: int

    @dataclasses.dataclass(frozen=True)
    class _Checked:
        one: int
        two: int

        def __post_init__(self) -> None:
            if self.one > self.two:
                raise ValueError("out of order")

    assert replace(_WithSlots(1, 2), one=3) == _WithSlots(3, 2)
    assert replace(_Checked(1, 2), two=3) == _Checked(1, 3)
    with pytest.raises(ValueError, match="out of order"):
        replace(_Checked(1, 2), one=3)


def test_a_job_keeps_all_other_fields() -> None:
    job = Job("job_1", "cus_1", "agt_1", "nightly", "backup", datetime(2026, 1, 1, tzinfo=UTC))  # type: ignore[arg-type]
    assert replace(job, last_message="ok") == dataclasses.replace(job, last_message="ok")
