"""Summaries as their reader sees them: never a wrong "all ok", the worst first, one mail however many jobs."""

import re
from datetime import UTC, datetime, timedelta

import pytest

from app.compose import mime, summary_mail
from app.compose.summary_subject import subject_of
from app.domain.canary import MailTimes
from app.domain.job import JobState
from app.domain.mail_views import Section, Totals
from tests.support.mail_views import DAY, GIB, MORNING, job_line, make_summary_view

MINUS = "\N{MINUS SIGN}"
BASE = "https://tocsin.example.org"


def word(**given: object):
    return summary_mail.render(make_summary_view(**given), base_url=BASE)


def bad_night(**given: object):
    failed = job_line(
        "nightly-sql",
        "ooooooooooooof",
        state=JobState.FAILED,
        failing_since=MORNING - timedelta(hours=5),
        last_message="repository is locked",
    )
    missed = job_line("mail-store", "ooooooooooooom", state=JobState.MISSED, failing_since=MORNING - timedelta(hours=4))
    warned = tuple(
        job_line(f"home-{n}", "ooooooooooooow", state=JobState.WARNING, last_message="3 files unreadable")
        for n in range(3)
    )
    silenced = job_line(
        "lab-vm", "ffffffffffffff", state=JobState.FAILED, silenced_until=MORNING + 3 * DAY, last_success_at=None
    )
    values = {
        "failed": 2,
        "missed": 1,
        "warnings": 3,
        "ok": 412,
        "jobs": 418,
        "expected": 418,
        "heard": 417,
        "sections": (
            Section("failed", (failed,), 1),
            Section("missed", (missed,), 0),
            Section("warning", warned, 0),
            Section("recovered", (job_line("dc-state", "oooooooooofffo"),), 0),
            Section("silenced", (silenced,), 0),
            Section("ok", tuple(job_line(f"files-{n}") for n in range(3)), 408),
            Section("new", (job_line("young", "..............", state=JobState.NEW, last_success_at=None),), 0),
        ),
    }
    return word(**{**values, **given})


@pytest.mark.parametrize(
    ("given", "subject"),
    [
        ({}, "Backups Tue 24 Nov: all 412 ok (no. 118)"),
        (
            {"failed": 2, "missed": 1, "warnings": 3, "jobs": 418, "expected": 418, "heard": 417},
            "Backups Tue 24 Nov: 2 failed, 1 missed, 3 warnings, 412 ok (no. 118)",
        ),
        (
            {"failed": 1, "jobs": 413, "warnings": 1, "expected": 414, "heard": 414},
            "Backups Tue 24 Nov: 1 failed, 1 warning, 412 ok (no. 118)",
        ),
        ({"heard": 400}, "Backups Tue 24 Nov: 412 ok, 400 of 412 reported (no. 118)"),
        ({"heard": 0}, "Backups Tue 24 Nov: 412 ok, none of 412 expected reported (no. 118)"),
        ({"expected": 0, "heard": 3}, "Backups Tue 24 Nov: 412 ok, none was expected (no. 118)"),
        ({"expected": 0, "heard": 0}, "Backups Tue 24 Nov: 412 ok, none was expected and none reported (no. 118)"),
        ({"expected": 0, "heard": 0, "jobs": 0, "ok": 0}, "Backups Tue 24 Nov: no jobs yet (no. 118)"),
        ({"jobs": 415, "new": 3}, "Backups Tue 24 Nov: 412 ok, 3 new (no. 118)"),
        ({"silent_agents": ("ex02",)}, "Backups Tue 24 Nov: 1 agent silent, 412 ok (no. 118)"),
        ({"undelivered": 2}, "Backups Tue 24 Nov: all 412 ok, 2 messages undelivered (no. 118)"),
        ({"bounced": 1}, "Backups Tue 24 Nov: all 412 ok, 1 came back (no. 118)"),
        ({"set_aside": 1}, "Backups Tue 24 Nov: 412 ok, 1 event set aside (no. 118)"),
        (
            {"undelivered": 1, "set_aside": 3},
            "Backups Tue 24 Nov: 412 ok, 1 message undelivered, 3 events set aside (no. 118)",
        ),
        (
            {"expected": 0, "heard": 0, "jobs": 0, "ok": 0, "set_aside": 2},
            "Backups Tue 24 Nov: no jobs yet, 2 events set aside (no. 118)",
        ),
        ({"ok": 411}, "Backups Tue 24 Nov: 411 ok (no. 118)"),
        ({"period_start": MORNING - 7 * DAY}, "Backups week to Tue 24 Nov: all 412 ok (no. 118)"),
        ({"period_start": MORNING - 31 * DAY}, "Backups month to Tue 24 Nov: all 412 ok (no. 118)"),
        (
            {"period_start": datetime(2026, 10, 1, 5, tzinfo=UTC), "period_end": datetime(2026, 11, 1, 6, tzinfo=UTC)},
            "Backups October 2026: all 412 ok (no. 118)",
        ),
        ({"period_start": MORNING - 3 * DAY}, "Backups Sat 21 Nov to Tue 24 Nov: all 412 ok (no. 118)"),
        (
            {"ok": 100_000, "jobs": 100_000, "expected": 100_000, "heard": 100_000, "number": 1000},
            "Backups Tue 24 Nov: all 100,000 ok (no. 1,000)",
        ),
    ],
)
def test_subjects(given, subject) -> None:
    assert subject_of(make_summary_view(**given)) == subject


def test_all_ok_is_green_and_says_how_many_were_heard_from() -> None:
    rendered = word()
    assert "Jobs expected: 412, jobs that reported: 412." in rendered.text
    assert "Jobs expected: 412, jobs that reported: 412." in rendered.html
    assert 'class="head ok"' in rendered.html
    for given in (
        {"heard": 411},
        {"ok": 411},
        {"expected": 0},
        {"failed": 1},
        {"warnings": 1},
        {"silent_agents": ("a",)},
    ):
        assert 'class="head ok"' not in word(**given).html


def test_failed_and_missed_jobs_come_first() -> None:
    rendered = bad_night(silent_agents=("ex02",))
    assert re.findall(r"^([A-Z][A-Z ,]+) \(\d", rendered.text, re.MULTILINE) == [
        "FAILED",
        "MISSED",
        "WITH WARNINGS",
        "OK AGAIN",
        "SILENCED",
        "OK",
        "NEW, NO RUN SO FAR",
    ]
    for part in (rendered.text, rendered.html):
        places = [
            part.rindex(expected)
            for expected in (
                "nightly-sql",
                "mail-store",
                "1 agent silent: ex02",
                "home-0",
                "dc-state",
                "lab-vm",
                "files-0",
                "young",
            )
        ]
        assert places == sorted(places)


def test_a_failing_job_shows_its_error_since_when_and_its_last_success() -> None:
    text = bad_night().text
    block = text[text.index("nightly-sql on sql01 (Acme)") : text.index("MISSED (1)")]
    assert "repository is locked" in block
    assert "oooooooooooooF" in block
    assert "failing since Tue 02:00, last success Tue 02:00" in block
    assert "13.3 GiB in 41 min, as usual" in block
    assert "and 1 more: " + BASE in block
    assert "silenced until Fri 27 Nov 07:00 CET" in text


def test_the_strip_has_letters_and_colours() -> None:
    rendered = word(sections=(Section("ok", (job_line(strip="ofwmlc........"),), 0),))
    assert "oFWMLC........" in rendered.text
    cells = re.findall(r'<td (?:bgcolor="(#\w+)"|title="([^"]+)"|style="[^"]*"|\s)+>(\S)</td>', rendered.html)
    assert [rendered for *_, rendered in cells][:14] == [*"✓FWMLC", *"·" * 8]
    assert len(set(re.findall(r'bgcolor="(#\w+)"[^>]*title=', rendered.html))) == 7
    assert 'title="Wed 11 Nov: ok"' in rendered.html
    assert 'title="Sun 15 Nov: 1 ok, 1 missed"' in rendered.html
    for meaning in ("with warnings, or some of its runs failed", "failed", "missed", "cancelled", "no report"):
        assert meaning in rendered.text
        assert meaning in rendered.html


def test_undelivered_messages_and_other_notes_are_shown() -> None:
    rendered = word(undelivered=2, set_aside=1, without_expectation=7, silent_agents=("ex02", "laptop"), heard=410)
    for part in (rendered.text, rendered.html):
        expected = " ".join(part.split())
        for words in (
            "2 messages could not be delivered",
            "1 event set aside",
            "7 jobs have no expectation",
            "2 agents silent: ex02 and laptop",
            "2 expected jobs without a report",
        ):
            assert words in expected
    assert not any(
        word in word_.text for word_ in [word()] for word in ("delivered", "set aside", "expectation", "silent")
    )


def test_totals_are_compared_with_the_days_before() -> None:
    text = word(totals=Totals(2000 * GIB, 10 * GIB, 3600.0, 500.0 * GIB, 40.0 * GIB, 3500.0)).text
    assert "2.0 TiB (4 times as much)" in text
    assert f"10.0 GiB ({MINUS}75 %)" in text
    assert "60 min" in text or "1 h (as usual)" in text


@pytest.mark.parametrize("jobs", [120, 2000])
def test_thousands_of_jobs_stay_one_readable_mail(jobs) -> None:
    bad = tuple(
        job_line(
            f"bad-{n}-" + "<&ü" * 40,
            "f" * 14,
            agent="a&" * 90,
            customer="c<" * 90,
            state=JobState.FAILED,
            last_message="é<>" * 900,
        )
        for n in range(jobs)
    )
    good = tuple(job_line(f"good-{n}", "fwmlcofwmlcofw") for n in range(jobs))
    rendered = word(
        failed=jobs,
        ok=jobs,
        jobs=2 * jobs,
        sections=(Section("failed", bad, 7), Section("ok", good, 9)),
        silent_agents=("agent" * 50,) * 500,
    )
    assert len(rendered.html.encode()) < 100_000
    assert len(rendered.text.encode()) < 50_000
    mail = mime.build(
        rendered,
        sender="t@example.org",
        to="a@example.org",
        message_id="<a@b>",
        date=MORNING,
        in_reply_to=None,
        references=(),
    )
    assert len(mail) < 200 * 1024
    for part in (rendered.text, rendered.html):
        left_out = [int(number.replace(",", "")) for number in re.findall(r"and ([\d,]+) more(?:</b>)?:", part)]
        shown = len(set(re.findall(r"(?:bad|good)-\d+", part)))
        assert shown > 50
        assert sum(left_out) + shown == 2 * jobs + 16


def test_the_same_view_results_in_the_same_mail() -> None:
    assert bad_night() == bad_night()
    assert bad_night().headers == (("X-Tocsin", "summary"),)


def test_an_empty_summary_is_a_complete_mail() -> None:
    rendered = word(jobs=0, ok=0, expected=0, heard=0, sections=(), totals=Totals(0, 0, 0.0, 0.0, 0.0, 0.0))
    assert "no jobs yet" in rendered.text
    assert "No jobs yet" in rendered.html


def test_the_last_line_says_how_long_mail_takes():
    words = "Your mail took 4 s on average in the last 30 days, the slowest 3 min."
    mail = word(mail_times=MailTimes(4.2, 180, 30, 0))
    assert " ".join(mail.text.split()).endswith(words)
    assert words in mail.html
    assert "Your mail took" not in word().text + word().html


@pytest.mark.parametrize(
    ("gap", "words"),
    [
        ((40, 42), "summaries no. 40 to 42 were sent and not known here"),
        ((42, 42), "summary no. 42 was sent and not known here"),
    ],
)
def test_summaries_that_the_database_lacks_are_named(gap: tuple[int, int], words: str):
    mail = word(unknown_numbers=gap)
    for text in (mail.text, mail.html):
        assert f"The database was put back to an older state: {words}" in text
