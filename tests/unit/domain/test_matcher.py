"""Which conditions an alert of the job `Nightly SQL` of the agent `nas[01]` meets, labelled site=north."""

import pytest

from app.domain.matcher import Comparison, Matcher, all_match

FACTS = {"job": "Nightly SQL", "agent": "nas[01]", "severity": "error", "message": "", "label:site": "north"}


@pytest.mark.parametrize(
    ("field", "comparison", "value", "is_met"),
    [
        ("job", "is", "Nightly SQL", True),
        ("job", "is", "nightly sql", True),  # case does not matter
        ("job", "is", "Nightly", False),
        ("job", "is_not", "files", True),
        ("job", "is_not", "NIGHTLY SQL", False),
        ("job", "like", "nightly*", True),
        ("job", "like", "*sql", True),
        ("job", "like", "*", True),
        ("job", "like", "nightly?sql", True),
        ("job", "like", "nightly??sql", False),
        ("job", "like", "sql", False),  # without a star it is the whole text
        ("job", "not_like", "*files*", True),
        ("job", "not_like", "*sql", False),
        ("agent", "like", "nas[01]", True),  # brackets mean themselves
        ("agent", "like", "nas[0-9]*", False),
        ("label:site", "is", "north", True),
        ("label:site", "is", "south", False),
        ("label:rack", "is", "", True),  # a label that does not exist is the empty text
        ("label:rack", "is_not", "", False),
        ("message", "like", "", True),
        ("message", "like", "?*", False),
    ],
)
def test_a_condition_on_a_field(field: str, comparison: str, value: str, is_met: bool) -> None:
    assert Matcher(field, Comparison(comparison), value).matches(FACTS) is is_met


@pytest.mark.parametrize(
    ("conditions", "is_met"),
    [
        ([], True),  # no condition matches everything
        (["north"], True),
        (["north", "n*"], True),
        (["north", "south"], False),
    ],
)
def test_all_conditions_must_be_met(conditions: list[str], is_met: bool) -> None:
    matchers = [Matcher("label:site", Comparison.LIKE, value) for value in conditions]
    assert all_match(matchers, FACTS) is is_met
