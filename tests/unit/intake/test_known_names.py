"""Which known names occur in a text."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.intake.known_names import KnownNames

NAMES = KnownNames(["failover-db", "Failed orders", "Docs", "Docs archive", "it", "backup", "/srv/failed", "Büro"])


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Backup of failover-db failed", ["failover-db"]),
        ("FAILED ORDERS completed", ["FAILED ORDERS"]),
        ("Docs archive and Docs", ["Docs archive", "Docs"]),
        ("Docsify failed", []),
        ("backup made", []),  # names that are plain words stay words
        ("copy of /srv/failed done", ["srv/failed"]),
        ("Büro", ["Büro"]),
        ("", []),
    ],
)
def test_names_are_found_as_they_are_written(text: str, found: list[str]):
    assert NAMES.find_in(text) == found


@given(st.text(max_size=300), st.lists(st.text(max_size=20), max_size=20))
def test_what_is_found_stands_in_the_text(text: str, names: list[str]):
    assert all(found.lower() in text.lower() for found in KnownNames(names).find_in(text))


def test_a_text_costs_the_same_whatever_the_number_of_names():
    names = KnownNames(f"job number {number}" for number in range(20_000))
    begun = time.process_time()
    names.find_in("job number 19999 failed " * 1000)
    assert time.process_time() - begun < 1
