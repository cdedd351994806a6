"""Words the message by which an administrator tests a transport. Pure."""

import json
from datetime import datetime

from app.compose.letter import Letter


def word(now: datetime, base_url: str) -> Letter:
    """Word the test as a mail."""
    said = f"This is a test, sent {now:%Y-%m-%d %H:%M:%S} UTC by the Tocsin at {base_url}. If you read it, alerts reach you this way."
    return Letter(
        "Test from Tocsin: alerts reach you here",
        said + "\n",
        f"<!doctype html><html><body><p>{said}</p></body></html>",
    )


def word_webhook(now: datetime, base_url: str) -> bytes:
    """Word the test as a webhook's document."""
    return json.dumps({"type": "test", "timestamp": now.isoformat(), "data": {"url": base_url}}).encode()
