"""Ids of rows sort as they were made."""

from datetime import UTC, datetime, timedelta

from app.core.ids import first_id_at, new_id


def test_ids_of_one_process_sort_in_the_order_in_which_they_were_made() -> None:
    made = [new_id("evt") for _ in range(5_000)]
    assert made == sorted(made)
    assert len(set(made)) == len(made)


def test_a_range_of_times_is_a_range_of_ids() -> None:
    before, at = new_id("evt"), datetime.now(UTC)
    assert first_id_at("evt", at - timedelta(seconds=1)) < before < first_id_at("evt", at + timedelta(milliseconds=1))
