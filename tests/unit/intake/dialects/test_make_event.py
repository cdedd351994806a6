"""Making events: what a reading of words sets, and the evidence that stays with the event."""

import pytest

from app.intake.dialects.make_event import make_event
from app.intake.language.reading import Meaning, Reading


def words(meaning: str) -> Reading:
    return Reading(Meaning(meaning), "these words", "a rule")


@pytest.mark.parametrize(
    ("meaning", "phase", "outcome"),
    [
        ("success", "finished", "success"),
        ("warning", "finished", "warning"),
        ("failure", "finished", "failure"),
        ("cancelled", "finished", "cancelled"),
        ("unclear", "finished", "unclear"),
        ("started", "started", None),
    ],
)
def test_a_reading_sets_phase_and_outcome_and_stays_with_the_event(
    meaning: str, phase: str, outcome: str | None
) -> None:
    event = make_event("gotify", reading=words(meaning))

    assert (event.get("phase"), event.get("outcome")) == (phase, outcome)
    assert event["extra"] == {"reading": {"meaning": meaning, "words": "these words", "rule": "a rule"}}


def test_an_outcome_that_the_tool_names_in_a_field_comes_before_its_words() -> None:
    event = make_event("gotify", outcome="failure", reading=words("success"), extra={"id": 7})

    assert (event["phase"], event["outcome"]) == ("finished", "failure")
    assert event["extra"]["reading"]["meaning"] == "success"
    assert event["extra"]["id"] == 7
