"""Webhook documents: stable field names, always valid JSON, limited in size."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.compose import webhook_body
from app.domain.mail_views import Section
from app.domain.notice import NoticeKind
from tests.support.mail_views import DAY, NOW, job_line, make_alert_view, make_summary_view, recovered

BASE = "https://tocsin.example.org"


def read(body: bytes):
    return json.loads(body.decode("utf-8"))


@pytest.mark.parametrize(
    ("views", "type_"),
    [
        ([make_alert_view()], "alert.opened"),
        ([make_alert_view(what=NoticeKind.REPEATED)], "alert.repeated"),
        ([recovered(make_alert_view())], "alert.recovered"),
        ([recovered(make_alert_view()), make_alert_view(2, what=NoticeKind.REPEATED)], "alert.repeated"),
        (
            [recovered(make_alert_view()), make_alert_view(2, what=NoticeKind.REPEATED), make_alert_view(3)],
            "alert.opened",
        ),
    ],
)
def test_the_type_is_that_of_the_most_urgent_alert(views, type_) -> None:
    document = read(webhook_body.render_alerts(views, base_url=BASE))
    assert document["type"] == type_
    assert sorted(document) == ["data", "timestamp", "type"]
    assert document["data"]["alerts"][-1]["what"] == type_.removeprefix("alert.") or len(views) > 1


def test_the_fields_of_an_alert() -> None:
    document = read(webhook_body.render_alerts([recovered(make_alert_view(repeats=2))], base_url=BASE))
    alert = document["data"]["alerts"][0]
    assert document["timestamp"] == "2026-11-27T01:10:00Z"
    assert document["data"]["more"] == 0
    assert alert["url"] == f"{BASE}/v1/alerts/{alert['id']}"
    assert alert["page_url"] == f"{BASE}/proof/{alert['id']}"
    expected = {
        "kind": "failed",
        "customer": "Acme",
        "agent": "sql01",
        "job": "nightly-sql",
        "job_id": "job_1",
        "repeats": 2,
        "message": "repository is locked",
    }
    assert expected.items() <= alert.items()
    assert (alert["since"], alert["closed_at"]) == ("2026-11-24T01:10:00Z", "2026-11-27T01:10:00Z")


def test_the_fields_of_a_summary() -> None:
    document = read(
        webhook_body.render_summary(
            make_summary_view(failed=1, sections=(Section("failed", (job_line(strip="ooof"),), 2),)), base_url=BASE
        )
    )
    assert document["type"] == "summary"
    data = document["data"]
    assert data["all_ok"] is False
    assert (data["expected"], data["heard"], data["failed"], data["number"]) == (412, 412, 1, 118)
    assert data["sections"][0]["more"] == 2
    assert data["sections"][0]["jobs"][0]["days"] == ["ok", "ok", "ok", "failed"]


def test_documents_are_limited_and_count_what_is_left_out() -> None:
    alerts = [make_alert_view(n, message="\x01é" * 5000, customer="c" * 200) for n in range(1000)]
    body = webhook_body.render_alerts(alerts, base_url=BASE)
    assert len(body) <= webhook_body.LIMIT
    data = read(body)["data"]
    assert len(data["alerts"]) + data["more"] == 1000
    lines = tuple(job_line(f"job-{n}", last_message="\x01" * 5000) for n in range(2000))
    body = webhook_body.render_summary(
        make_summary_view(sections=(Section("failed", lines, 5), Section("ok", lines, 0))), base_url=BASE
    )
    assert len(body) <= webhook_body.LIMIT
    assert sum(len(section["jobs"]) + section["more"] for section in read(body)["data"]["sections"]) == 4005


@given(st.text(), st.text(), st.text())
def test_any_text_results_in_valid_json(message, job, customer) -> None:
    view = make_alert_view(message=message, job=job, customer=customer)
    document = read(webhook_body.render_alerts([view], base_url=BASE))
    assert document["data"]["alerts"][0]["job"] == job
    assert webhook_body.render_alerts([view], base_url=BASE) == webhook_body.render_alerts([view], base_url=BASE)


def test_a_lone_surrogate_does_not_lose_the_message() -> None:
    view = make_alert_view(message="a\ud800b", job="x\udfff", since=NOW - DAY)
    assert read(webhook_body.render_alerts([view], base_url=BASE))["data"]["alerts"][0]["job"] == "x?"
