"""The texts that are stored in English, such as the reason of an alert, are in the reader's language on pages."""

import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import Markup

import app
from app.decide.rules import _count_in_words
from app.domain.alert import AlertKind
from app.domain.event import RunOutcome
from app.domain.expectation import Expectation, describe_expectation
from app.http.pages.habit_texts import habit_text
from app.http.pages.languages import translations
from app.http.pages.stored_texts import stored_text
from tests.support.written_texts import texts_in

_APP = Path(str(app.__file__)).parent
_GERMAN = translations("de")
# Where reasons and causes are written. Every text there that is no docstring, log line, error or name must have its German.
_WRITTEN_IN = (
    *("decide/rules.py", "decide/unclear.py", "decide/repeat.py", "decide/mute.py", "decide/notify.py", "decide/reminders.py"),
    *("decide/unended.py", "decide/summaries.py", "decide/missed.py"),
    *("deliver/after_attempt.py", "deliver/failover.py", "deliver/sweep.py"),
    *("compose/tick.py", "domain/relay.py", "domain/credential.py", "domain/disk_space.py", "domain/unreadable.py"),
    *("domain/uncomposed.py", "domain/bounced_address.py", "domain/canary.py", "domain/excess.py"),
)  # fmt: skip

# Parts of texts that are put together there from pieces; `test_a_reason_of_several_parts_is_german` has the whole texts.
_FRAGMENTS = {
    *("successsuccess success in a row", "a success", "run with warnings", "missed run", "success's clock is success"),
    *(
        "after success days",
        "after 1 day",
        "still opensuccess",
        "which sends no recoveries",
        "a route that was deleted since",
    ),
    *("was reported success UTC by success", "asked for by an administrator", "success: the run success has not ended"),
    *("(learned from its runs: success", "not confirmed)", "as its tool announced", "by success to success it success"),
    *("success could not send it: successsuccess", "the worker died or was cut off", "success s", "success min"),
    "the relay was cut off: it neither reported what became of this nor renewed its lease",
    *("not sent within success, after successsuccess", "1 attempt", "success attempts"),
    *("mail relay", "relay", "a message stuck in its Outbox", "one timeout after the other", "its logon failed"),
    *(
        "its mail profile is missing",
        "its mail client cannot be used",
        "with its profile mail could stay in the Outbox",
    ),
    "its mail client and its Python differ in bitness",
    *("relay success has not reported success", "since success UTC"),
    # Names of jobs, stages and marks.
    *("access to the mail system", "7 days", "30 days", "disk space", "rows that cannot be read", "mail to", "mail by"),
    *("messages that cannot be composed", "cannot be composed since", "(\\S+):", "after success"),
    # Access, bounced addresses and canaries.
    *(
        "success expires on success, success",
        "within a day",
        "in success daysuccess",
        ". success",
        "success in success",
    ),
    "then mail that needs it does not leave: create a new one (docs/graph.md)",
    "Mail to success (recipient success) came back success times in a row: success success. success Correct the address.",
    *("This recipient has no other transport.", "Alerts go by the recipient's other transports."),
    *("within success min", "(success)", "so far", "it did not leave successsuccess"),
    "the mailbox in which it should arrive could not be read success",
    "it did not arrive success, although success accepted itsuccess",
    # How much a key or an agent reports beyond its budget or its usual.
    *("reports under the key", "success results since success UTC, success of them no success", "success more agents"),
    *(
        "agent success reports very much for a new one: success",
        "agent success reports success times its usual: success",
    ),
    *(
        "most of them of agent success",
        "success of them are failures, stored under this job",
        ".",
        "successsuccess (success)",
    ),
    "refused since success UTC: success reports beyond the budget of success successsuccesssuccess",
    # Why a route reports nothing again, and what only a mail says: not stored.
    *("acknowledged by success", "its route reports each alert once, or was disabled or deleted", "closed:"),
    "it goes by mapi, perhaps through the relay that it is about, because you have no other transport: add one",
}


def parts_of(text: str) -> list[str]:
    """Return the parts of a text that have words of their own."""
    found = [part.strip(" ,") for part in text.split("; ")]
    return [part for part in found if re.sub("success", "", part).strip(" ':") != ""]


@pytest.mark.parametrize("name", _WRITTEN_IN)
def test_every_reason_that_the_service_writes_is_german_on_a_german_page(name: str) -> None:
    written = [part for text in texts_in(_APP / name) for part in parts_of(text)]
    left = [part for part in written if str(stored_text(part, _GERMAN)).startswith("<span")]
    assert written
    assert [part for part in left if part not in _FRAGMENTS] == []


@pytest.mark.parametrize(
    ("stored", "german"),
    [
        ("3rd failure in a row; rule 'failed; at night'; route 'all'; not silenced",
         "3. Fehlschlag in Folge; Regel „failed; at night“; Route „all“; nicht stummgeschaltet"),
        ("sql01's clock is 1 h 30 min behind; rule 'clock'; its agent is new and waits for approval",
         "Die Uhr von sql01 geht 1 h 30 min nach; Regel „clock“; sein Agent ist neu und wartet auf Freigabe"),
        ("a missed run; rule 'missed'; silenced until 2026-11-27 02:43 UTC by kim: I am on it; back at 8 (sil_1)",
         "ein ausgebliebener Lauf; Regel „missed“; stumm bis 27.11.2026 02:43 UTC durch kim: I am on it; back at 8 (sil_1)"),
        ("closed by kim: on the dashboard", "geschlossen von kim: auf der Oberfläche"),
        ("closed by kim: nur ein Test", "geschlossen von kim: nur ein Test"),
        ("closed before anybody was notified: ran with outcome success",
         "geschlossen, bevor jemand benachrichtigt wurde: lief mit dem Ergebnis „erfolgreich“"),
        ("it ran; was reported 2026-11-27 02:43 UTC by route 'all', which sends no recoveries",
         "der Job lief; wurde 27.11.2026 02:43 UTC von der Route „all“ gemeldet, die keine Entwarnungen sendet"),
        ("still open after 1 day; route 'all' repeats", "seit 1 Tag offen; Route „all“ wiederholt"),
        ("still open after 3 days; route 'all' repeats", "seit 3 Tagen offen; Route „all“ wiederholt"),
        ("summary 'daily' up to 2026-11-27 06:00 UTC, asked for by an administrator",
         "Zusammenfassung „daily“ bis 27.11.2026 06:00 UTC, von einem Administrator verlangt"),
        ("not sent within 15 min, after 4 attempts: connect timed out; goes by mapi instead",
         'nicht gesendet innerhalb von 15 min, nach 4 Versuchen: <span lang="en">connect timed out</span>; geht stattdessen über mapi'),
        ("550 5.1.1 <who>; the recipient has no other transport",
         '<span lang="en">550 5.1.1 &lt;who&gt;</span>; der Empfänger hat keinen anderen Transport'),
        ("given up: not sent within 45 s, after 1 attempt",
         "aufgegeben: nicht gesendet innerhalb von 45 s, nach 1 Versuch"),
        ("lost the worker died or was cut off", "lost: Der Worker starb oder war abgeschnitten"),
        ("smtp could not send it: lost the worker died or was cut off; it may have arrived that way already, so this may be the second one",
         "smtp konnte sie nicht senden: lost: Der Worker starb oder war abgeschnitten; sie kam auf diesem Weg vielleicht schon an, dann ist diese die zweite"),
        ("relay win01 is paused: no reason given", "Relay win01 ist angehalten: kein Grund genannt"),
        ("relay win01 has not reported yet", "Relay win01 hat sich noch nicht gemeldet"),
        (("expected 2026-11-27 02:00 UTC (learned from its runs: on working days at 02:00; on Sundays at 04:00 (UTC); not confirmed) "
         "and did not come; last report 2026-11-26 02:01 UTC"),
         ("erwartet um 27.11.2026 02:00 UTC (aus seinen Läufen gelernt: montags bis freitags um 02:00; an Sonntagen um 04:00 (UTC); "
         "nicht bestätigt) und nicht gekommen; letzter Bericht 26.11.2026 02:01 UTC")),
        (("agent sql01 reports 40 times its usual: 4000 results since 2026-11-27 02:00 UTC, 3 of them no success; usually 100 a day. "
          "agent web01 reports very much for a new one: 900 results since 2026-11-27 02:00 UTC, 0 of them no success. 2 more agents"),
         ("Agent sql01 meldet 40-mal so viel wie üblich: 4000 Ergebnisse seit 27.11.2026 02:00 UTC, 3 davon kein Erfolg; üblich sind 100 am Tag. "
          "Agent web01 meldet sehr viel für einen neuen: 900 Ergebnisse seit 27.11.2026 02:00 UTC, 0 davon kein Erfolg. 2 weitere Agenten")),
        (("refused since 2026-11-27 02:00 UTC: 900 reports beyond the budget of 600 events a minute, most of them of agent sql01; "
          "4 of them are failures, stored under this job. refused since 2026-11-27 02:00 UTC: 9 reports beyond the budget of 5 new jobs an hour. "
          "Failures are accepted all the same. A success may be among what was refused: a job of this key that is called missed may have run."),
         ("abgelehnt seit 27.11.2026 02:00 UTC: 900 Berichte über das Budget von 600 Ereignissen in der Minute hinaus, die meisten vom Agenten sql01; "
          "4 davon sind Fehlschläge, unter diesem Job gespeichert. abgelehnt seit 27.11.2026 02:00 UTC: 9 Berichte über das Budget von "
          "5 neuen Jobs in der Stunde hinaus. Fehlschläge werden trotzdem angenommen. Unter dem Abgelehnten kann ein Erfolg sein: "
          "Ein Job dieses Schlüssels, der als ausgeblieben gilt, kann gelaufen sein.")),
        ("refused since 2026-11-27 02:00 UTC: many <b>", '<span lang="en">refused since 2026-11-27 02:00 UTC: many &lt;b&gt;</span>'),
        ("expected 2026-11-27 02:00 UTC, as its tool announced, and did not come; no report so far",
         "erwartet um 27.11.2026 02:00 UTC, wie sein Programm es ankündigte, und nicht gekommen; bisher kein Bericht"),
        ("running since 2026-11-27 02:00 UTC, longer than it should: the run r1 has not ended; another run of this job succeeded at 2026-11-27 03:00 UTC",
         "läuft seit 27.11.2026 02:00 UTC, länger als vorgesehen: Der Lauf r1 ist nicht zu Ende; ein anderer Lauf dieses Jobs gelang um 27.11.2026 03:00 UTC"),
        ("the secret in TOCSIN_OAUTH_CLIENT_SECRET expires on 2026-12-03, in 6 days; then mail that needs it does not leave: create a new one (docs/graph.md)",
         ("das Geheimnis in TOCSIN_OAUTH_CLIENT_SECRET: läuft am 03.12.2026 ab, in 6 Tagen; dann geht Mail, die es braucht, nicht hinaus. "
         "Legen Sie ein neues an (docs/graph.md)")),
        ("the disk of the database on srv1 has 1.0 GiB left, less than the limit of 2.0 GiB. When it is full, no event can be stored. Free some space on it (docs/operate.md)",
         ("auf der Platte von der Datenbank auf srv1 sind noch 1.0 GiB frei, weniger als die Grenze von 2.0 GiB. Ist sie voll, kann kein Ereignis gespeichert werden. "
         "Schaffen Sie Platz (docs/operate.md)")),
    ],
)  # fmt: skip
def test_a_reason_of_several_parts_is_german(stored: str, german: str) -> None:
    assert stored_text(stored, _GERMAN) == german
    assert stored_text(stored, translations("en")) == stored


@pytest.mark.parametrize("kind", [AlertKind.FAILED, AlertKind.MISSED, AlertKind.WARNING])
@pytest.mark.parametrize("in_row", [1, 2, 3, 4, 11, 22, 113])
def test_each_number_of_failures_is_german(kind: AlertKind, in_row: int) -> None:
    assert not isinstance(stored_text(_count_in_words(kind, in_row), _GERMAN), Markup)


@pytest.mark.parametrize("outcome", RunOutcome)
def test_each_outcome_that_closed_an_alert_is_german(outcome: RunOutcome) -> None:
    assert outcome.value not in stored_text(f"ran with outcome {outcome}", _GERMAN)


@given(st.text(max_size=300), st.text(alphabet="; '()", max_size=200))
def test_any_words_of_a_server_stay_and_none_is_markup(words: str, signs: str) -> None:
    for text in (
        words,
        f"waits: {words}; goes by smtp instead",
        signs,
        f"silenced until {signs} by {signs}: {signs} ({signs})",
    ):
        shown = Markup.escape(stored_text(text, _GERMAN))
        assert "<" not in shown.replace('<span lang="en">', "").replace("</span>", "")
        if "\n" not in words and words and text == words:
            assert len(shown.striptags()) > 0 or not words.strip()


@pytest.mark.parametrize(
    "expectation",
    [
        *({"cron": "20 1 * * *"}, {"cron": "20 1,13 * * *"}, {"cron": "0 2 * * 1-5; 0 4 * * 6,0"}, {"cron": "5 */4 * * *"}),
        *({"cron": "5 * * * *"}, {"cron": "0 3 1 * *"}, {"cron": "0 3 * * 1#1"}, {"cron": "0 3 * * 2; 0 3 * * 1#1"}),
        *({"cron": "7 * * * 1,2", "time_zone": "Europe/Berlin"}, {"period": timedelta(days=1)}, {"period": timedelta(days=3)}),
        *({"period": timedelta(minutes=90)}, {"period": timedelta(hours=1)}, {"period": timedelta(seconds=1)}),
    ],
)  # fmt: skip
def test_a_learned_habit_is_as_german_in_a_stored_reason_as_on_the_page_of_its_job(expectation: dict[str, Any]) -> None:
    when = Expectation(grace=timedelta(0), **expectation)
    assert habit_text(describe_expectation(when), _GERMAN) == describe_expectation(when, _GERMAN.gettext)


@given(st.text(max_size=200))
def test_a_habit_of_other_words_stays(text: str) -> None:
    assert habit_text(text, translations("en")) == text
