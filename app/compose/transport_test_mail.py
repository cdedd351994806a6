"""The message by which an administrator tests a transport. Pure."""

import json
from datetime import datetime

from app.compose.render import RenderedMail

EXAMPLE_ALERT = "alr_00000000000000000000000000e1"


def render(now: datetime, base_url: str) -> RenderedMail:
    """Return the test as a mail."""
    text = (
        f"This is a test message, sent {now:%Y-%m-%d %H:%M:%S} UTC by Tocsin at {base_url}. "
        "If you can read it, alerts reach you this way."
    )
    return RenderedMail(
        "Test from Tocsin: alerts reach you here",
        text + "\n",
        f"<!doctype html><html><body><p>{text}</p></body></html>",
    )


def webhook_body(now: datetime, base_url: str) -> bytes:
    """Return the test as a webhook's JSON document."""
    return json.dumps({"type": "test", "timestamp": now.isoformat(), "data": {"url": base_url}}).encode()


def example_alerts(now: datetime, base_url: str, what: str = "opened") -> bytes:
    """Return an example of the document about one alert, with every field that `webhook_body` writes."""
    at = now.isoformat().replace("+00:00", "Z")
    alert: dict[str, object] = {
        "what": what,
        "id": EXAMPLE_ALERT,
        "url": base_url,
        "kind": "failed",
        "severity": "warning",
        "customer": "Tocsin test",
        "customer_id": "cus_00000000000000000000000000e1",
        "agent": "tocsin-test",
        "agent_id": "agt_00000000000000000000000000e1",
        "job": "tocsin-test",
        "job_id": "job_00000000000000000000000000e1",
        "activity": "backup",
        "run_id": None,
        "message": "This is a test from Tocsin. Nothing failed.",
        "trouble": "failed",
        "unclear": None,
        "since": at,
        "opened_at": at,
        "last_at": at,
        "closed_at": at if what == "recovered" else None,
        "closed_reason": "a run succeeded" if what == "recovered" else None,
        "repeats": 0,
        "acknowledged_at": at if what == "acknowledged" else None,
        "last_success_at": None,
        "failures_in_row": 1,
        "missed_in_row": 0,
        "warnings_in_row": 0,
        "expected_at": None,
        "next_due_at": None,
        "reason": "a test by an administrator",
    }
    data = {"subject": "Test from Tocsin: tocsin-test failed", "alerts": [alert], "more": 0}
    return json.dumps({"type": f"alert.{what}", "timestamp": at, "data": data}).encode()
