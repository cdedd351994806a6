"""The numbers that a canary mail carries: what was signed is read again, and nothing else is."""

from hypothesis import given
from hypothesis import strategies as st

from app.domain.summary_numbers import read_numbers, sign_numbers

SCHEDULES = st.text("0123456789abcdef", min_size=28, max_size=28).map(lambda digits: f"sch_{digits}")
NUMBERS = st.dictionaries(SCHEDULES, st.integers(1, 999_999_999), max_size=8)
A, B = f"sch_{'a' * 28}", f"sch_{'b' * 28}"


@given(NUMBERS)
def test_what_was_signed_is_read(numbers: dict[str, int]):
    headers = sign_numbers(b"secret", numbers)
    assert read_numbers(b"secret", [value for _, value in headers]) == numbers
    assert read_numbers(b"another", [value for _, value in headers]) == {}


@given(NUMBERS.filter(bool), st.data())
def test_a_changed_header_is_not_read(numbers: dict[str, int], data: st.DataObject):
    value = sign_numbers(b"secret", numbers)[0][1]
    place = data.draw(st.integers(0, len(value) - 1))
    letter = data.draw(st.sampled_from("0123456789abcdef_ ").filter(lambda it: it != value[place]))
    assert read_numbers(b"secret", [value[:place] + letter + value[place + 1 :]]) == {}


@given(st.lists(st.text(max_size=400)))
def test_any_text_is_no_number(values: list[str]):
    assert read_numbers(b"secret", values) == {}


def test_the_highest_number_counts_and_a_folded_header_is_read():
    (_, old), (_, new) = sign_numbers(b"s", {A: 7})[0], sign_numbers(b"s", {A: 42, B: 0})[0]
    assert read_numbers(b"s", [new, old.replace(" ", "\r\n\t")]) == {A: 42}
