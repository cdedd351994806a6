"""Alertmanager's and Grafana's alerts that are sent again: a repeat is the same event; one that fires after it was resolved is a new failure."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.api import ENROL_KEY, Api, serving

ALERT = {
    "labels": {"alertname": "BackupTooOld", "instance": "nas01:9100", "severity": "critical"},
    "annotations": {"summary": "30 h old"},
    "startsAt": "2026-11-23T02:00:00Z",
    "endsAt": "0001-01-01T00:00:00Z",
    "fingerprint": "ab",
}
FIRING = {"alerts": [{**ALERT, "status": "firing"}]}
RESOLVED = {"alerts": [{**ALERT, "status": "resolved", "endsAt": "2026-11-23T03:00:00Z"}]}


@pytest.fixture
async def api(database_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with serving(database_url, tmp_path) as api:
        yield api


@pytest.mark.parametrize(
    ("sent", "events"),
    [
        ([FIRING, FIRING, FIRING], ["failure"]),
        ([FIRING, RESOLVED, RESOLVED], ["failure", "success"]),
        ([FIRING, RESOLVED, FIRING], ["failure", "success", "failure"]),
        (
            [FIRING, FIRING, RESOLVED, FIRING, FIRING, RESOLVED, RESOLVED, FIRING],
            ["failure", "success"] * 2 + ["failure"],
        ),
    ],
)
async def test_an_alert_that_fires_again_is_a_new_failure_and_a_repeat_is_none(api: Api, sent: list, events: list):
    for group in sent:
        answer = await api.client.post(f"/in/alertmanager/{ENROL_KEY}", json=group)
        assert answer.status_code == 200
    found = sorted(await api.items("/v1/events"), key=lambda event: event["id"])
    assert [event["outcome"] for event in found] == events
    times = [event["occurred_at"] for event in found]
    assert times == sorted(times), "each state counts as newer than the one that it ended"
