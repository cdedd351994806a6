"""Subjects, word for word: many people read nothing else."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.compose.alert_subject import LIMIT, first_topic, subject_of, topic_of
from app.domain.alert import AlertKind
from app.domain.notice import NoticeKind
from tests.support.mail_views import DAY, NOW, make_alert_view, recovered

FULL = 'storage "vault-2" is full'


def missed(number: int = 2, **fields: object):
    values = {
        "kind": AlertKind.MISSED,
        "job": "mail-store",
        "agent": "ex02",
        "customer": "Borealis",
        "missed_in_row": 1,
        "failures_in_row": 0,
    }
    return make_alert_view(
        number,
        **{
            **values,
            "message": None,
            "expected_at": NOW + timedelta(minutes=50),
            "last_success_at": NOW - DAY + timedelta(hours=1, minutes=2),
            **fields,
        },
    )


@pytest.mark.parametrize(
    ("view", "subject"),
    [
        (make_alert_view(), "[FAILED] nightly-sql on sql01 (Acme): repository is locked"),
        (
            recovered(make_alert_view(repeats=2, failures_in_row=0)),
            "[OK AGAIN] nightly-sql on sql01 (Acme), failing since Tue 02:10, 3 runs",
        ),
        (
            recovered(make_alert_view(failures_in_row=0)),
            "[OK AGAIN] nightly-sql on sql01 (Acme), failing since Tue 02:10, 1 run",
        ),
        (missed(), "[MISSED] mail-store on ex02 (Borealis): expected Tue 03:00, last success Mon 03:12"),
        (missed(last_success_at=None), "[MISSED] mail-store on ex02 (Borealis): expected Tue 03:00, no success so far"),
        (
            missed(last_success_at=NOW - 30 * DAY),
            "[MISSED] mail-store on ex02 (Borealis): expected Tue 03:00, last success 25 Oct 02:10",
        ),
        (
            missed(last_success_at=NOW - 400 * DAY),
            "[MISSED] mail-store on ex02 (Borealis): expected Tue 03:00, last success 20 Oct 2025",
        ),
        (make_alert_view(what=NoticeKind.REPEATED), "[STILL FAILED] nightly-sql on sql01 (Acme): repository is locked"),
        (
            missed(what=NoticeKind.REPEATED),
            "[STILL MISSED] mail-store on ex02 (Borealis): expected Tue 03:00, last success Mon 03:12",
        ),
        (
            make_alert_view(kind=AlertKind.WARNING, message="3 files unreadable"),
            "[WARNING] nightly-sql on sql01 (Acme): 3 files unreadable",
        ),
        (
            make_alert_view(kind=AlertKind.OVERRUN, message=None),
            "[OVERRUN] nightly-sql on sql01 (Acme): running since Tue 02:10",
        ),
        (
            make_alert_view(kind=AlertKind.AGENT_SILENT, job=None, job_id=None),
            "[SILENT] agent sql01 (Acme): no report since Tue 02:10",
        ),
        (make_alert_view(activity="verify"), "[FAILED] nightly-sql verify on sql01 (Acme): repository is locked"),
        (make_alert_view(job="verify", activity="verify"), "[FAILED] verify on sql01 (Acme): repository is locked"),
        (make_alert_view(message=None), "[FAILED] nightly-sql on sql01 (Acme): 1st failure in a row"),
        (make_alert_view(message="Fatal: wrong password"), "[FAILED] nightly-sql on sql01 (Acme): wrong password"),
        (make_alert_view(message="starting\nerror: disk gone\nbye"), "[FAILED] nightly-sql on sql01 (Acme): disk gone"),
        (
            make_alert_view(message=None, log_tail="scan\nFatal: no key found\nbye"),
            "[FAILED] nightly-sql on sql01 (Acme): no key found",
        ),
    ],
)
def test_one_alert(view, subject) -> None:
    assert subject_of([view]) == subject


def test_a_group_is_counted_and_its_most_common_error_named() -> None:
    failed = [make_alert_view(n, customer=f"C{n % 3}", message=FULL if n != 1 else "other") for n in range(5)]
    assert (
        subject_of([*failed, missed(8, customer="C0"), missed(9, customer="C1")])
        == f"5 FAILED, 2 MISSED at 3 customers: {FULL}"
    )


def test_an_error_that_differs_only_in_numbers_is_one_error() -> None:
    locked = [make_alert_view(n, message=f"locked by PID {n * 7}") for n in range(3)]
    assert subject_of([*locked, make_alert_view(9, message="a")]) == "4 FAILED at Acme: locked by PID 0"


def test_a_group_without_a_common_error_names_its_jobs() -> None:
    views = [make_alert_view(1, message="a", job="sql"), make_alert_view(2, message="b", job="files")]
    assert subject_of(views) == "2 FAILED at Acme: sql, files"


def test_what_recovered_is_counted_last() -> None:
    again = make_alert_view(3, what=NoticeKind.REPEATED, message="c", job="web")
    views = [make_alert_view(1, message="a", job="sql"), again, recovered(make_alert_view(2, failures_in_row=0))]
    assert subject_of(views) == "1 FAILED, 1 STILL FAILED, 1 OK AGAIN at Acme: sql, web"
    assert subject_of([views[0], views[2]]) == "1 FAILED, 1 OK AGAIN at Acme: sql: a"
    assert (
        subject_of([views[2], recovered(make_alert_view(4, job="web", failures_in_row=0))])
        == "2 OK AGAIN at Acme: nightly-sql, web"
    )


def test_never_ok_again_while_the_job_still_fails() -> None:
    came_and_failed = recovered(missed(failures_in_row=1, missed_in_row=0, since=NOW))
    assert (
        subject_of([came_and_failed]) == "[CLOSED] mail-store on ex02 (Borealis), missed since Tue 02:10; now failing"
    )
    with_warnings = recovered(make_alert_view(failures_in_row=0, warnings_in_row=1))
    assert subject_of([with_warnings]).endswith("failing since Tue 02:10, 1 run; now with warnings")


def test_a_subject_is_short_and_safe() -> None:
    nasty = make_alert_view(
        job="j" * 500, agent="\u202egpj.exe", customer="A\r\nBcc: x@y", message="\x1b[31mred\x1b[0m\x07 " + "e" * 999
    )
    subject = subject_of([nasty])
    assert len(subject) <= LIMIT
    assert subject.endswith("…")
    assert "\u202e" not in subject
    assert subject.isprintable()
    assert len(subject_of([replace(nasty, what=NoticeKind.REPEATED)] * 3)) <= LIMIT


def test_times_are_in_the_customers_time_zone() -> None:
    assert "expected Mon 20:00" in subject_of([missed(time_zone="America/Chicago")])
    assert "expected Tue 02:00" in subject_of([missed(time_zone="No/Such")])


TEXT = st.text(max_size=120)


@given(job=TEXT, agent=TEXT, message=TEXT, warnings=st.integers(0, 1), failures=st.integers(0, 1))
def test_the_mails_of_one_alert_have_the_same_subject_apart_from_the_state_in_brackets(
    job: str, agent: str, message: str, warnings: int, failures: int
) -> None:
    first = make_alert_view(job=job, agent=agent, message=message)
    subject = subject_of([first])
    later = replace(first, thread_subject=subject, warnings_in_row=warnings, failures_in_row=failures)
    over = subject_of([replace(later, what=NoticeKind.RECOVERED)])
    repeated = subject_of([replace(first, thread_subject=subject, what=NoticeKind.REPEATED)])
    topic = subject.removeprefix("[FAILED] ")
    assert topic == topic_of(first)
    for one in (subject, over, repeated):
        assert one.endswith(f"] {topic}")
        assert len(one) <= LIMIT
    assert over.startswith("[CLOSED, now failing] " if failures else "[OK AGAIN")
    assert repeated.startswith("[STILL FAILED] ")


@pytest.mark.parametrize(
    "before", [None, "2 FAILED at Acme: sql, files", "FAILED   nightly-sql on sql01 (Acme): locked", "[FAILED] else"]
)
def test_a_recovery_without_a_first_mail_of_its_own_says_what_was_wrong(before: str | None) -> None:
    over = replace(make_alert_view(failures_in_row=0), what=NoticeKind.RECOVERED, thread_subject=before)
    assert subject_of([over]) == "[OK AGAIN] nightly-sql on sql01 (Acme), failing since Tue 02:10, 1 run"


def test_a_repeated_mail_says_what_is_wrong_now() -> None:
    first = subject_of([make_alert_view(message="repository is locked")])
    now = make_alert_view(what=NoticeKind.REPEATED, message="disk full", thread_subject=first)
    assert subject_of([now]) == "[STILL FAILED] nightly-sql on sql01 (Acme): disk full"
    assert first_topic(now) == "nightly-sql on sql01 (Acme): repository is locked"


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("a failure; rule 'failed'", "a failure"),
        ("2nd failure in a row; rule 'it's; rule 'x''", "2nd failure in a row; rule 'it's"),
        ("a failure; rule 'failed'; its agent is new", "a failure; rule 'failed'; its agent is new"),
    ],
)
def test_a_failure_without_a_text_is_named_without_the_rule(reason: str, words: str) -> None:
    view = make_alert_view(message=None)
    view = replace(view, alert=replace(view.alert, reason=reason, message=None))
    assert subject_of([view]) == f"[FAILED] nightly-sql on sql01 (Acme): {words}"
