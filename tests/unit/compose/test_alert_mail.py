"""Alert mails as their reader sees them."""

import random
import re
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from app.compose import alert_mail, mime
from app.domain.alert import AlertKind
from app.domain.event import Severity
from app.domain.notice import NoticeKind
from tests.support.mail_views import DAY, GIB, NOW, make_alert_view, recovered

BASE = "https://tocsin.example.org"
LOG = "\n".join(f"line {n} of the log" for n in range(100)) + "\nFatal: repository is already locked by PID 4515\n"


def word(*views):
    return alert_mail.render(views, base_url=BASE)


def seen(html: str) -> str:
    """Return the visible text of the HTML."""
    return " ".join(re.sub(r"<[^>]+>", " ", html[html.index("<body") :]).replace("&nbsp;", " ").split())


def test_a_mail_about_one_failure_shows_all_facts() -> None:
    view = make_alert_view(
        since=NOW - 2 * DAY, repeats=2, failures_in_row=3, log_tail=LOG, reason="3rd failure in a row; route 'acme nights'; not silenced",
        metrics={"duration_s": 7.2, "bytes_processed": 12.3 * GIB, "files_failed": 3.0, "odd": float("inf")},
    )  # fmt: skip
    rendered = word(view)
    for part in (rendered.text, seen(rendered.html)):
        for expected in (
            *(
                "FAILED",
                "nightly-sql",
                "sql01",
                "Acme",
                "repository is locked",
                "Sun 22 Nov 02:10 CET (2 days)",
                "3 in a row",
            ),
            *(
                "Mon 23 Nov 02:12 CET",
                "Wed 25 Nov 02:00 CET",
                "7 s",
                "12.3 GiB",
                "line 99 of the log",
                "locked by PID 4515",
            ),
            *(["3rd failure in a row; route ", "acme nights", "; not silenced"][0], "acme nights", "restic unlock"),
        ):
            assert expected in " ".join(part.split()), expected
        assert "line 80 of the log" not in part
    for link in (f"{BASE}/proof/{view.alert.id}", f"{BASE}/proof/run_1", f"{BASE}/job/job_1"):
        assert link in rendered.text
        assert f'href="{link}"' in rendered.html


def test_alerts_that_are_down_come_first_and_recovered_ones_last() -> None:
    views = [
        recovered(make_alert_view(1, job="recovered-job", failures_in_row=0)),
        make_alert_view(2, job="warned-job", kind=AlertKind.WARNING, severity=Severity.WARNING),
        make_alert_view(3, job="still-job", what=NoticeKind.REPEATED),
        make_alert_view(4, job="missed-job", kind=AlertKind.MISSED, expected_at=NOW),
        make_alert_view(5, job="failed-job"),
    ]
    order = ["failed-job", "still-job", "missed-job", "warned-job", "recovered-job"]
    rendered = word(*views)
    assert re.findall(r"^[A-Z ]+  (\w+-job) on ", rendered.text, re.MULTILINE) == order
    assert re.findall(r'<div class="name"[^>]*>([^<]+)', rendered.html) == order
    for seed in range(3):
        assert word(*random.Random(seed).sample(views, 5)) == rendered


def test_metrics_of_the_failed_run_are_not_shown_under_ok_again() -> None:
    view = make_alert_view(metrics={"duration_s": 7.2, "bytes_processed": 12.3 * GIB})
    assert "12.3 GiB" in word(view).text
    assert "12.3 GiB" not in word(recovered(view)).text


def test_a_recovery_says_since_when_it_is_ok_and_what_was_wrong() -> None:
    text = word(recovered(make_alert_view(failures_in_row=0, repeats=2), NOW + timedelta(hours=30))).text
    assert "OK since        Wed 25 Nov 08:10 CET" in text
    assert "Failed since    Tue 24 Nov 02:10 CET (30 h)" in text
    assert "The error was: repository is locked" in text
    assert "What to try" not in text


def test_a_missed_run_says_when_it_was_expected_in_the_customers_time() -> None:
    rendered = word(
        make_alert_view(
            kind=AlertKind.MISSED,
            expected_at=NOW + timedelta(minutes=50),
            message="expected 02:00 UTC",
            run_id=None,
            missed_in_row=1,
        )
    )
    assert "Expected Tue 24 Nov 03:00 CET, but no run was reported." in rendered.text
    assert "UTC" not in rendered.text
    assert "/proof/run_" not in rendered.text


def test_a_reminder_counts_up_to_the_moment_its_notice_was_due() -> None:
    silent = make_alert_view(
        kind=AlertKind.AGENT_SILENT, job=None, job_id=None, what=NoticeKind.REPEATED, notice_due_at=NOW + 3 * DAY
    )
    assert "STILL SILENT" in word(silent).text
    assert "No report for 3 days." in word(silent).text
    assert f"{BASE}/proof/{silent.alert.id}" in word(silent).text


@pytest.mark.parametrize("many", [51, 300, 1000])
def test_a_thousand_alerts_stay_one_readable_mail(many) -> None:
    views = [
        make_alert_view(
            n,
            job=f"job-{n}-" + "<&ü" * 60,
            customer=f"Customer {n % 40} " + "x" * 150,
            message='"<é>" ' * 300,
            log_tail="<\"&'> " * 5000,
        )
        for n in range(many)
    ]
    rendered = word(*views)
    assert len(rendered.html.encode()) < 100_000
    assert len(rendered.text.encode()) < 50_000
    mail = mime.build(
        rendered,
        sender="t@example.org",
        to="a@example.org",
        message_id="<a@b>",
        date=NOW,
        in_reply_to=None,
        references=(),
    )
    assert len(mail) < 200 * 1024
    for part in (rendered.text, rendered.html):
        more = re.search(r"and ([\d,]+) more(?:</b>)?:", part)
        left_out = int(more[1].replace(",", "")) if more else 0
        assert len(set(re.findall(r"job-(\d+)-", part))) + left_out == many
    assert rendered.subject.startswith(f"{many:,} FAILED at 40 customers")


def test_the_storm_of_one_agent_does_not_push_out_the_alert_of_another() -> None:
    storm = [make_alert_view(n, job=f"job-{n}", agent="loud", severity=Severity.CRITICAL) for n in range(500)]
    rendered = word(*storm, make_alert_view(501, job="the one that matters", agent="zz-calm"))
    for part in (rendered.text, rendered.html):
        assert part.index("the one that matters") < part.index("job-200")


def test_a_mail_of_usual_size_leaves_nothing_out() -> None:
    rendered = word(*(make_alert_view(n, job=f"job-{n:03d}", log_tail=LOG) for n in range(25)))
    assert all(rendered.html.count(f">job-{n:03d}<") == 1 for n in range(25))
    assert "more" not in rendered.text


def test_a_hint_is_shown_once() -> None:
    text = word(*(make_alert_view(n, job=f"job-{n}") for n in range(3))).text
    assert text.count("restic unlock") == 1
    assert text.count("Same as for job-0 on sql01 (Acme), above.") == 2


def test_the_style_of_an_element_depends_on_its_classes_alone() -> None:
    templates = Path(alert_mail.__file__).parent / "templates"
    selectors = re.findall(r"^([^{\n]+) \{", (templates / "style.css").read_text(), re.MULTILINE)
    assert len(selectors) > 40
    assert [selector for selector in selectors if not re.fullmatch(r"\.[a-z-]+", selector)] == []
    for page in templates.glob("*.html"):  # a mail program would use only the first of two style attributes
        assert not re.search(r'<[^>]*class="[^>]* style="', page.read_text()), page.name


def test_the_html_has_the_styles_of_its_classes_and_the_dark_ones() -> None:
    html = word(make_alert_view(log_tail=LOG)).html
    head = re.search(r'<td class="head failed" style="([^"]*)"', html)
    assert head is not None
    assert {"padding: 18px 20px", "background: #b3261e"} <= {part.strip() for part in head[1].split(";")}
    assert re.findall(r'<[a-z]+[^>]*class="[^"]*"(?! style=")', html) == []
    assert html.count("<style>") == 2  # one for dark colours, one for Outlook


def test_the_html_works_in_every_mail_program() -> None:
    html = word(make_alert_view(log_tail=LOG), make_alert_view(2)).html
    assert "http" not in html.replace(BASE, "")
    assert not re.search(r"display: ?(flex|grid)|<img|<link|@import|url\(", html)
    assert "max-width: 600px" in html
    assert "prefers-color-scheme: dark" in html
    assert not [
        size
        for size in re.findall(r"font-size: ?(\d+)px", html[html.index("<body") :])
        if int(size) < 14 and size != "1"
    ]


def test_headers_let_people_sort_their_mail() -> None:
    rendered = word(make_alert_view(), recovered(make_alert_view(2)))
    assert rendered.headers == (("X-Tocsin", "alert; opened, recovered"),)


@pytest.mark.parametrize(("succeeded_at", "is_shown"), [(NOW + DAY, True), (NOW - DAY, False), (None, False)])
def test_a_run_that_hangs_while_others_succeed_says_so(succeeded_at: datetime | None, is_shown: bool) -> None:
    view = make_alert_view(
        kind=AlertKind.OVERRUN, last_at=NOW + 2 * DAY, last_success_at=succeeded_at, message="running since ..."
    )
    text = " ".join(alert_mail.render([view], base_url="http://here").text.split())
    assert "Still running after 2 days, longer than it should." in text
    assert ("Another run of this job has succeeded since; this one has not ended." in text) == is_shown


def test_a_missed_run_shows_the_hint_about_the_time_zone_first() -> None:
    view = make_alert_view(kind=AlertKind.MISSED, expected_at=NOW, zone_hint="Check the time zone of its expectation.")
    assert "Check the time zone of its expectation." in alert_mail.render([view], base_url="http://here").text
