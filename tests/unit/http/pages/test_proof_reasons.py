"""A reason on the proof page does not repeat the names that stand next to it, and loses nothing else."""

import pytest

from app.domain.alert import without_rule
from app.http.pages.languages import translations
from app.http.pages.proof import without_route
from app.http.pages.stored_texts import stored_text


@pytest.mark.parametrize(
    ("reason", "rule", "english", "german"),
    [
        ("3rd failure in a row; rule 'failed'", "failed", "3rd failure in a row", "3. Fehlschlag in Folge"),
        ("a failure; rule 'failed; at night'", "failed; at night", "a failure", "ein Fehlschlag"),
        ("a failure; rule 'old name'", "new name", "a failure; rule 'old name'", "ein Fehlschlag; Regel „old name“"),
        ("a failure; rule 'failed'", None, "a failure", "ein Fehlschlag"),
        ("a failure; rule 'it's late'", None, "a failure", "ein Fehlschlag"),
        ("still running", None, "still running", "läuft noch"),
        ("still running; rule 'x'; rule 'x'", "x", "still running; rule 'x'", "läuft noch; Regel „x“"),
        (
            "still running; rule 'x'; its agent is new and waits for approval",
            "x",
            "still running; rule 'x'; its agent is new and waits for approval",
            "läuft noch; Regel „x“; sein Agent ist neu und wartet auf Freigabe",
        ),
    ],
)
def test_the_reason_of_an_alert_names_its_rule_only_once(
    reason: str, rule: str | None, english: str, german: str
) -> None:
    shown = without_rule(reason, rule)
    assert stored_text(shown, translations("en")) == english
    assert stored_text(shown, translations("de")) == german


@pytest.mark.parametrize(
    ("reason", "english", "german"),
    [
        (
            "a failure; route 'all'; not silenced",
            "a failure; not silenced",
            "ein Fehlschlag; nicht stummgeschaltet",
        ),
        (
            "still open; route 'all' repeats; route 'all'; not silenced",
            "still open; route 'all' repeats; not silenced",
            "noch offen; Route „all“ wiederholt; nicht stummgeschaltet",
        ),
        (
            "it ran; was reported 2026-11-27 02:43 UTC by route 'all'",
            "it ran; was reported 2026-11-27 02:43 UTC by route 'all'",
            "der Job lief; wurde 27.11.2026 02:43 UTC von der Route „all“ gemeldet",
        ),
    ],
)
def test_the_reason_of_a_notice_names_its_route_only_once(reason: str, english: str, german: str) -> None:
    shown = without_route(reason, "all")
    assert stored_text(shown, translations("en")) == english
    assert stored_text(shown, translations("de")) == german
