"""Every text of the pages is in every language, with the same places for values."""

import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from babel.messages.catalog import Message
from babel.messages.extract import extract_from_dir, extract_from_file
from babel.messages.pofile import read_po

from app.compose.error_text import hint_for
from app.domain.alert import AlertKind
from app.domain.expectation import Expectation, describe_expectation
from app.http.pages import languages
from app.http.pages.checks import check_name, check_text
from app.http.pages.languages import translations

_PAGES = Path(languages.__file__).parent
_APP = _PAGES.parents[1]
_ELSEWHERE = [
    *(_APP / "compose/error_text.py", _APP / "domain/expectation.py", _APP / "domain/zone_hint.py"),
    *(_APP / "deliver/transports/remedies.py", _APP / "deliver/transports/smtp_refusals.py"),
]
_METHODS = [("templates/**.html", "jinja2"), ("**.py", "python")]
_PLACES = re.compile(r"%\(\w+\)s")


def _texts() -> set[str | tuple[str, ...]]:
    found = extract_from_dir(str(_PAGES), _METHODS, {"templates/**.html": {"trimmed": "true"}})
    texts = [text for _, _, text, _, _ in found]
    for path in _ELSEWHERE:
        texts += [text for _, text, _, _ in extract_from_file("python", str(path))]
    return {tuple(text) if isinstance(text, list | tuple) else text for text in texts}


def _catalog(language: str) -> Iterator[Message]:
    source = (_PAGES / "locale" / language / "LC_MESSAGES" / "pages.po").read_bytes()
    return (message for message in read_po(BytesIO(source), locale=language) if message.id)


@pytest.mark.parametrize("language", [code for code in languages.LANGUAGES if code != languages.SOURCE])
def test_every_text_has_its_translation(language: str) -> None:
    translated = {
        message.id[0] if isinstance(message.id, tuple) else message.id: message
        for message in _catalog(language)
        if all(message.string if isinstance(message.string, tuple) else [message.string])
    }
    first = {text[0] if isinstance(text, tuple) else text for text in _texts()}
    assert len(first) > 100
    assert first - set(translated) == set(), "run `make messages`, then translate"
    assert set(translated) - first == set(), "run `make messages`: these texts are on no page any more"


def test_a_template_with_a_mistake_is_named_instead_of_losing_its_texts(tmp_path: Path) -> None:
    reader = [sys.executable, str(_APP.parent / ".ci/templates")]
    assert subprocess.run(reader, check=False).returncode == 0, "the templates of the pages"
    (tmp_path / "good.html").write_text("{{ _('Fine') }}")
    (tmp_path / "broken.html").write_text("{{ _('One') }}\n{% if %}")
    ended = subprocess.run([*reader, str(tmp_path)], check=False, capture_output=True, text=True)
    assert ended.returncode != 0
    assert "broken.html:2: Expected an expression" in ended.stderr
    assert "good.html" not in ended.stderr
    recipe = (_APP.parent / "Makefile").read_text().partition("\nmessages:")[2].partition("\n\n")[0]
    assert recipe.index(".ci/templates") < recipe.index("pybabel"), "it is read before texts are taken out"


@pytest.mark.parametrize("language", [code for code in languages.LANGUAGES if code != languages.SOURCE])
def test_a_translation_has_the_places_of_its_text(language: str) -> None:
    for message in _catalog(language):
        ids = message.id if isinstance(message.id, tuple) else (message.id,)
        strings = message.string if isinstance(message.string, tuple) else (message.string,)
        for text, string in ((ids[0], strings[0]), (ids[-1], strings[-1])):
            assert set(_PLACES.findall(string)) == set(_PLACES.findall(text)), text


@pytest.mark.parametrize(
    ("chosen", "accepted", "expected"),
    [
        (None, "de-AT,de;q=0.9,en;q=0.8", "de"),
        (None, "fr,es", "en"),
        ("de", "en", "de"),
        ("xx", None, "en"),
        (None, "de;q=" + "9" * 1000, "de"),
        (None, ",;,", "en"),
    ],
)
def test_the_language_is_the_chosen_one_else_the_browsers(
    chosen: str | None, accepted: str | None, expected: str
) -> None:
    assert languages.preferred_language(chosen, accepted) == expected


@pytest.mark.parametrize(
    ("found", "shown"),
    [
        ("2 running, last heartbeat 3 s ago", "2 aktiv, letztes Lebenszeichen vor 3 s"),
        ("not used recently; 0 waiting", "in letzter Zeit nicht benutzt; 0 warten"),
        ("something <new>", '<span lang="en">something &lt;new&gt;</span>'),
    ],
)
def test_what_a_check_found_is_german_where_it_is_known_and_marked_as_english_where_not(found: str, shown: str) -> None:
    assert check_text(found, translations("de")) == shown


@pytest.mark.parametrize(
    ("name", "english", "german"),
    [
        ("wording", "Writing of messages", "Schreiben der Nachrichten"),
        ("transport smtp", "Sending by smtp", "Versand über smtp"),
    ],
)
def test_a_check_has_a_name_in_words_for_people(name: str, english: str, german: str) -> None:
    assert check_name(name, translations("en")) == english
    assert check_name(name, translations("de")) == german


@pytest.mark.parametrize(
    ("expectation", "english", "german"),
    [
        ({"cron": "20 1 * * *"}, "daily at 01:20 (UTC)", "täglich um 01:20 (UTC)"),
        (
            {"cron": "0 2 * * 1-5; 0 4 * * 6,0"},
            "on working days at 02:00; on Saturdays, Sundays at 04:00 (UTC)",
            "montags bis freitags um 02:00; an Samstagen, Sonntagen um 04:00 (UTC)",
        ),
        ({"cron": "5 */4 * * *"}, "every 4 hours at minute 5 (UTC)", "alle 4 Stunden zur Minute 5 (UTC)"),
        ({"cron": "5 * * * *"}, "hourly at minute 5 (UTC)", "stündlich zur Minute 5 (UTC)"),
        ({"cron": "0 3 1 * *"}, "monthly on day 1 at 03:00 (UTC)", "monatlich am 1. um 03:00 (UTC)"),
        ({"cron": "0 3 * * 1#1"}, "0 3 * * 1#1 (UTC)", "0 3 * * 1#1 (UTC)"),
        ({"period": timedelta(days=1)}, "at least every day", "mindestens jeden Tag"),
        ({"period": timedelta(minutes=90)}, "at least every 90 minutes", "mindestens alle 90 Minuten"),
    ],
)
def test_when_a_job_should_run_is_in_the_readers_language(
    expectation: dict[str, Any], english: str, german: str
) -> None:
    when = Expectation(grace=timedelta(0), **expectation)
    assert describe_expectation(when, translations("en").gettext) == describe_expectation(when) == english
    assert describe_expectation(when, translations("de").gettext) == german


@pytest.mark.parametrize(
    "message", ["no space left on device", "permission denied (publickey)", "wrong password", "something else"]
)
def test_what_to_try_is_in_the_readers_language(message: str) -> None:
    hint = hint_for(AlertKind.FAILED, message, ())
    assert translations("en").gettext(hint) == hint
    assert translations("de").gettext(hint) not in ("", hint)
