"""Cursors and ETags: what they carry, and what is refused."""

import base64
from datetime import UTC, datetime, timedelta

import pytest
from fastapi import Response
from hypothesis import given
from hypothesis import strategies as st

from app.core.errors import BadInput
from app.core.ids import first_id_at, new_id
from app.http.etag import expected_versions, put_etag
from app.http.paging import Paged, cursor_of


def test_a_cursor_leads_back_to_its_id() -> None:
    last = new_id("evt")
    cursor = cursor_of(last)
    assert cursor is not None
    assert last not in cursor, "nobody should build on what it holds"
    assert Paged(cursor=cursor).window("evt").after == last


@given(st.text(max_size=100))
def test_no_other_text_is_a_cursor(text: str) -> None:
    with pytest.raises(BadInput, match="belongs to another list"):
        Paged(cursor=text).window("evt")


def test_an_id_that_is_none_is_refused_inside_a_cursor_too() -> None:
    with pytest.raises(BadInput):
        Paged(cursor=base64.urlsafe_b64encode(b"evt_1' OR 1=1").decode()).window("evt")


def test_a_cursor_of_another_list_is_refused_and_not_taken_for_a_place_in_this_one() -> None:
    of_jobs = cursor_of(new_id("job"))
    with pytest.raises(BadInput, match="belongs to another list"):
        Paged(cursor=of_jobs).window("evt")


def test_the_bound_of_a_moment_sorts_before_what_is_made_then() -> None:
    made, now = new_id("evt"), datetime.now(UTC)
    assert first_id_at("evt", now - timedelta(seconds=1)) < made < first_id_at("evt", now + timedelta(seconds=1))


@pytest.mark.parametrize(
    ("if_match", "meant"),
    [
        (None, None),
        ("*", None),
        ('"v3"', {3}),
        ('"v3", "v4"', {3, 4}),
        ('W/"v3"', set()),
        ("v3", set()),
        ('"v-1"', set()),
        ("nonsense", set()),
    ],
)
def test_if_match_means_versions(if_match: str | None, meant: set[int] | None) -> None:
    assert expected_versions(if_match) == meant


def test_an_etag_is_what_if_match_takes() -> None:
    response = Response()
    put_etag(response, 7)
    assert expected_versions(response.headers["ETag"]) == {7}
