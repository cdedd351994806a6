"""The text that Apprise's services get: what an event says mentions nobody and makes no link."""

import json
from datetime import UTC, datetime

import pytest

from app.compose.transport_test_mail import example_alerts
from app.deliver.transports.chat_text import chat_text

_BREAK = "\N{ZERO WIDTH SPACE}"


def _text(message: str) -> str:
    made = json.loads(example_alerts(datetime(2026, 3, 1, tzinfo=UTC), "https://tocsin.example.org", "opened"))
    made["data"]["alerts"][0] |= {"message": message, "job": message}
    return "\n".join(chat_text(json.dumps(made).encode(), {})[:2])


@pytest.mark.parametrize(
    "mention",
    [
        "@everyone",
        "x@everyone",
        "@HERE",
        "@channel",
        "@all",
        "@room",
        "@kim",
        "<!channel>",
        "<@U1>",
        "<#C1>",
        "<at>Kim</at>",
        "<users/all>",
        "<https://evil.example|here>",
        "[here](https://evil.example)",
    ],
)
def test_no_event_mentions_anybody_or_hides_a_link(mention: str):
    text = _text(f"failed {mention} now")
    assert mention not in text
    assert mention in text.replace(_BREAK, "")


@pytest.mark.parametrize("plain", ["root@nas01 failed", "3 < 4 > 2", "a[1] (2)", "disk /dev/sda: 100 %"])
def test_other_texts_stay_as_they_are(plain: str):
    assert plain in _text(plain)


def test_the_text_about_one_alert_does_not_repeat_its_title_and_several_have_a_line_each():
    made = json.loads(example_alerts(datetime(2026, 3, 1, tzinfo=UTC), "https://tocsin.example.org", "opened"))
    [alert] = made["data"]["alerts"]
    alert |= {
        "agent": "nas01",
        "job": "photos",
        "severity": "error",
        "message": "the disk is full",
        "url": "https://t.example.org/alerts/1",
    }
    title, text, kind = chat_text(json.dumps(made).encode(), {})
    assert (title, kind) == (f"🔴 nas01 photos: {alert['trouble']}", "failure")
    assert text == "the disk is full\nhttps://t.example.org/alerts/1"
    made["data"]["alerts"] = [alert, {**alert, "id": "alr_2", "job": "music"}]
    title, text, _ = chat_text(json.dumps(made).encode(), {})
    assert title == "🔴 2 alerts"
    assert [line.partition(":")[0] for line in text.splitlines()[::2]] == ["🔴 nas01 photos", "🔴 nas01 music"]
