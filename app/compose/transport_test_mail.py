"""The message by which an administrator tests a transport. Pure."""

import json
from datetime import datetime

from app.compose.render import RenderedMail


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
