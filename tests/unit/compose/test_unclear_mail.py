"""The mail about an unclear text: the text itself, why it is unclear, and the two answers."""

import json
import shlex

import pytest

from app.compose import alert_mail, summary_mail, webhook_body
from app.domain.alert import AlertKind
from app.domain.event import Severity
from app.domain.mail_views import AlertView, Section
from app.domain.notice import NoticeKind
from tests.support.mail_views import job_line, make_alert_view, make_summary_view, recovered

BASE = "https://backups.example.com"
EVENT = f"evt_{7:028x}"


def unclear(**given: object) -> AlertView:
    fields: dict[str, object] = {
        "kind": AlertKind.UNCLEAR,
        "severity": Severity.WARNING,
        "message": "vault7: 12 volumes rotated",
        "log_head": "Slot 13 is <b>empty</b> & waits.\n\nThe next cycle begins at 02:00.\n",
        "event_id": EVENT,
        "reading": {"meaning": "unclear", "words": "12 volumes rotated", "rule": "count: 12 volumes"},
        "failures_in_row": 0,
    }
    return make_alert_view(**(fields | given))


def test_the_subject_says_that_it_is_unclear_and_shows_the_text() -> None:
    mail = alert_mail.render([unclear()], base_url=BASE)
    assert mail.subject == "[UNCLEAR] nightly-sql on sql01 (Acme): “vault7: 12 volumes rotated”"


def test_the_mail_shows_the_text_escaped_and_why_it_is_unclear() -> None:
    mail = alert_mail.render([unclear()], base_url=BASE)
    assert "  | Slot 13 is <b>empty</b> & waits.\n  | The next cycle begins at 02:00." in mail.text
    assert "<b>empty" not in mail.html
    assert "&lt;b&gt;empty&lt;/b&gt;" in mail.html
    for part in (mail.text, mail.html):
        words = " ".join(part.split())
        assert "The words “12 volumes rotated” prove neither success nor failure. Rule: count: 12 volumes." in words
        assert "stay as they were" in words


@pytest.mark.parametrize(
    ("reading", "evidence"),
    [
        (None, "The sender itself reported that it does not know how the run ended."),
        (
            {"meaning": "unclear", "words": "", "rule": "no words"},
            "The text has no words that prove success or failure. Rule: no words.",
        ),
        (
            {"meaning": "unclear", "words": "12 volumes {0} rotated", "rule": "nothing stated: en: rotated"},
            "The words “12 volumes {0} rotated” do not say how the run ended. Rule: nothing stated: en: rotated.",
        ),
        (
            {"meaning": "unclear", "words": "maybe", "rule": "not proven: en: maybe"},
            "The text states a success, but the words “maybe” make it uncertain. Rule: not proven: en: maybe.",
        ),
    ],
)
def test_the_evidence_is_a_sentence(reading: dict[str, str] | None, evidence: str) -> None:
    assert evidence in " ".join(alert_mail.render([unclear(reading=reading)], base_url=BASE).text.split())


@pytest.mark.parametrize("outcome", ["success", "failure"])
def test_each_answer_is_one_line_for_a_shell(outcome: str) -> None:
    text = alert_mail.render([unclear()], base_url=BASE).text
    lines = [line.strip() for line in text.splitlines() if line.strip().startswith("curl ")]
    words = next(shlex.split(line) for line in lines if outcome in line)
    assert words[0] == "curl"
    assert words[-1] == f"{BASE}/v1/events/{EVENT}:teach"
    assert json.loads(words[words.index("-d") + 1]) == {"outcome": outcome}


def test_a_long_text_is_shortened() -> None:
    log = "\n".join(f"line {n} " + "x" * 500 for n in range(1000))
    mail = alert_mail.render([unclear(log_head=log)], base_url=BASE)
    assert "line 0" in mail.text
    assert "  | …" in mail.text
    assert len(mail.text) < 12_000


def test_once_it_is_over_nothing_is_asked() -> None:
    over = recovered(unclear())
    mail = alert_mail.render([over], base_url=BASE)
    assert over.what is NoticeKind.RECOVERED
    assert "curl" not in mail.text
    assert mail.subject.startswith("[OK AGAIN] nightly-sql on sql01 (Acme), unclear since")


def test_the_webhook_has_the_text_and_the_address_of_the_answer() -> None:
    [alert] = json.loads(webhook_body.render_alerts([unclear()], base_url=BASE))["data"]["alerts"]
    assert alert["kind"] == "unclear"
    asked = alert["unclear"]
    assert asked["text"][0] == "vault7: 12 volumes rotated"
    assert asked["reading"]["rule"] == "count: 12 volumes"
    assert asked["teach_url"] == f"{BASE}/v1/events/{EVENT}:teach"
    assert [answer["outcome"] for answer in asked["answers"]] == ["success", "failure"]
    [other] = json.loads(webhook_body.render_alerts([make_alert_view()], base_url=BASE))["data"]["alerts"]
    assert other["unclear"] is None


def test_a_summary_never_counts_unclear_as_good() -> None:
    lines = (job_line("vault7", "oooooooooouuuu", last_message="vault7: 12 volumes rotated"),)
    view = make_summary_view(
        unclear=1, ok=411, unclear_runs=4, unclear_texts=1, sections=(Section("unclear", lines, 0),)
    )
    mail = summary_mail.render(view, base_url=BASE)
    assert mail.subject == "Backups Tue 24 Nov: 1 unclear, 411 ok (no. 118)"
    assert "oooooooooo????" in mail.text
    assert "1 unclear text waits for an answer" in mail.text
    assert "4 runs ended unclear in this period" in mail.text
    assert "vault7: 12 volumes rotated" in mail.text
    document = json.loads(webhook_body.render_summary(view, base_url=BASE))["data"]
    assert (document["all_ok"], document["unclear"], document["unclear_runs"], document["unclear_texts"]) == (
        False,
        1,
        4,
        1,
    )


def test_an_open_question_alone_is_not_all_ok() -> None:
    view = make_summary_view(unclear_texts=1)
    assert "all 412 ok" not in summary_mail.render(view, base_url=BASE).subject
