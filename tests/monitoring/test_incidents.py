"""PagerDuty, Opsgenie and a webhook from a report to a local server, through a service that runs."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.chat_server import chat_server
from tests.support.measured import Measured
from tests.support.reporting import pushing_service
from tests.support.running import wait_until

KEY = "R0123456789ABCDEFGHIJKLMNOPQRSTU"
Is = Callable[[str, dict], bool]
pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("transport", "path", "options", "opens", "ends"),
    [
        (
            "pagerduty",
            "/v2/enqueue",
            {"routing_key": KEY},
            lambda _, body: body["event_action"] == "trigger" and "the disk is full" in str(body),
            lambda _, body: body["event_action"] == "resolve",
        ),
        (
            "opsgenie",
            "",
            {"api_key": KEY},
            lambda path, body: path == "/v2/alerts" and "the disk is full" in str(body),
            lambda path, _: "/close?identifierType=alias" in path,
        ),
        (
            "webhook",
            "/hook",
            {"format": "slack"},
            lambda _, body: "the disk is full" in str(body),
            lambda _, body: "recovered" in str(body).lower(),
        ),
    ],
)
def test_a_failure_opens_an_incident_and_a_success_ends_it(
    tmp_path: Path, transport: str, path: str, options: dict, opens: Is, ends: Is
):
    measured = Measured(transport, "an HTTP server of the tests, by the published schema")
    with chat_server() as server, pushing_service(tmp_path / "var") as service:
        service.add_recipient(transport, f"http://127.0.0.1:{server.port}{path}", **options)

        def is_there(is_it: Is) -> bool:
            return any(is_it(path, json.loads(body)) for path, body in server.got)

        with measured.failure():
            service.report("photos", "failure")
            wait_until("the failure", lambda: is_there(opens))
        with measured.recovery():
            service.report("photos", "success")
            wait_until("the end", lambda: is_there(ends))
        assert KEY.encode() not in service.stored()
