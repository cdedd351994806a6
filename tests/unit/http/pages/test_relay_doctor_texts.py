"""What the doctor of a relay reports is German on a German page: each question, answer and remedy that the relay can write."""

from pathlib import Path

import pytest
from markupsafe import Markup

from app.http.pages.languages import translations
from app.http.pages.relay_doctor_texts import relay_question, relay_text
from programs.relay import doctor, profile_check
from programs.relay.registry import CLIENTS
from tests.support.written_texts import texts_in

# Not lines of a report: the command line shows the conclusion, and the names of programs and accounts stay as they are.
_NOT_SHOWN = {
    *doctor.OTHER_CLIENTS.values(),
    *doctor.QUESTIONS,
    "an unknown account",
    "doctor --json",
    "success point(s) prevent the relay from sending.",
    "The relay can send.",
    "This check ran as success, which has other mail profiles than the service: this report is not valid for the service.",
}
# Values of lines, which a line puts together with others.
_PARTS = {
    ", ",
    'See "success".',
    'store "success" (success), first transport "success" (success)',
    "success: success",
    '"success" (success)',
    "success: success; success",
    "success; never used: success",
}


def test_each_question_is_german_and_is_that_of_the_relay() -> None:
    german, english = translations("de"), translations("en")
    for name, question in doctor.QUESTIONS.items():
        assert relay_question(name, "", english) == question
        shown = relay_question(name, question, german)
        assert shown != question
        assert not isinstance(shown, Markup)
    assert relay_question("new point", "Is <it> new?", german) == '<span lang="en">Is &lt;it&gt; new?</span>'


@pytest.mark.parametrize("module", [doctor, profile_check], ids=["doctor", "profile"])
def test_each_line_that_a_relay_can_report_is_german(module: object) -> None:
    written = set(texts_in(Path(str(getattr(module, "__file__", ""))))) - _NOT_SHOWN - _PARTS
    shown = {text: str(relay_text(text, translations("de"))) for text in written - set(doctor.QUESTIONS.values())}
    assert len(written) > 3
    assert [text for text, german in shown.items() if german.startswith("<span")] == []


@pytest.mark.parametrize(
    ("text", "german"),
    [
        ('Yes: "Service"', 'Ja: "Service"'),
        ("No: the profile has no transport", "Nein: das Profil hat keinen Transport"),
        ("No: MAPI_E_LOGON_FAILED", 'Nein: <span lang="en">MAPI_E_LOGON_FAILED</span>'),
        (
            f"Microsoft Outlook; eM Client (from {CLIENTS})",
            f"Microsoft Outlook; eM Client (aus {CLIENTS})",
        ),
        ("Microsoft Outlook: the first one listed; C:\\a.dll", "Microsoft Outlook: das erste der Liste; C:\\a.dll"),
        ("something <new>", '<span lang="en">something &lt;new&gt;</span>'),
    ],
)
def test_values_stay_and_what_is_unknown_is_marked_as_english(text: str, german: str) -> None:
    assert relay_text(text, translations("de")) == german
    assert relay_text(text, translations("en")) == text
