"""Who may leave a summary by a link, and that nobody can make or change such a link."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.ids import new_id
from app.domain.unsubscribe_link import is_outside, is_signed_for, read_link, sign_link

OWN = ("tocsin@example.org", "admin@Office.example")
SECRET = b"s" * 32
SCHEDULE, RECIPIENT = new_id("sch"), new_id("rcp")


@pytest.mark.parametrize(
    ("address", "wanted"),
    [
        ("ann@example.org", False),
        ("ann@EXAMPLE.ORG", False),
        ("ann@office.example", False),
        ("ann@customer.example", True),
        ("ann@sub.example.org", True),
        ("ann@notexample.org", True),
        ("", False),
    ],
)
def test_outside_is_another_domain_than_ours(address: str, wanted: bool) -> None:
    assert is_outside(address, OWN) is wanted
    assert is_outside(address, (*OWN, "")) is wanted


@given(st.text(max_size=60), st.integers(min_value=0))
def test_a_link_holds_for_its_address_only_and_no_changed_one_is_valid(address: str, place: int) -> None:
    token = sign_link(SECRET, SCHEDULE, RECIPIENT, address)
    assert read_link(token) == (SCHEDULE, RECIPIENT)
    assert is_signed_for(SECRET, token, ["other@else.example", address])
    assert not is_signed_for(SECRET, token, [address + "x"])
    assert not is_signed_for(SECRET, token, [])
    assert not is_signed_for(b"t" * 32, token, [address])
    place %= len(token)
    changed = token[:place] + ("0" if token[place] != "0" else "1") + token[place + 1 :]
    assert not is_signed_for(SECRET, changed, [address])


@given(st.text(max_size=200))
def test_any_text_may_come_as_a_link(text: str) -> None:
    assert read_link(text) is None
    assert not is_signed_for(SECRET, text, ["ann@customer.example"])
