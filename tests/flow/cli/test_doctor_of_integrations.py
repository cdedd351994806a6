"""`tocsin doctor` has a line for each program that alerts are sent to, and for each monitoring system that does not ask any more."""

import json
import sqlite3
from pathlib import Path

import pytest

from tests.support.chat_server import chat_server
from tests.support.ports import lasting_port
from tests.support.reporting import PushingService, pushing_service
from tests.support.running import CLIENT, wait_until

pytestmark = pytest.mark.slow
DAY_US = 86_400_000_000
KEY = "R0123456789ABCDEFGHIJKLMNOPQRSTU"
# An address where nothing answers, and the options, of each transport to a program.
AWAY = {
    "alertmanager": ("http://127.0.0.1:{port}", {}),
    "icinga2": ("https://127.0.0.1:{port}", {"user": "u", "password": "p", "ttl_s": 86400}),
    "nagios": ("http://127.0.0.1:{port}/nrdp/", {"token": "t"}),
    "zabbix": ("zabbix://127.0.0.1:{port}", {}),
    "snmp": ("snmp://127.0.0.1:{port}", {"form": "inform", "community": "c"}),
    "syslog": ("tcp://127.0.0.1:{port}", {}),
    "apprise": ("team", {"url": "json://127.0.0.1:{port}"}),
    "pagerduty": ("http://127.0.0.1:{port}/v2/enqueue", {"routing_key": KEY}),
    "opsgenie": ("http://127.0.0.1:{port}", {"api_key": KEY}),
    "webhook": ("http://127.0.0.1:{port}/hook", {}),
}


def checks(service: PushingService, code: str, state: str) -> list[dict]:
    """Return the checks of the doctor with this code and state."""
    found = json.loads(service.running.tocsin("doctor", "--json").stdout)["checks"]
    return [one for one in found if (one["code"], one["state"]) == (code, state)]


def test_each_program_that_is_away_has_a_line_with_what_to_do(tmp_path: Path):
    with pushing_service(tmp_path / "var") as service:
        port = lasting_port()
        for transport, (address, options) in AWAY.items():
            filled = {name: value.format(port=port) if name == "url" else value for name, value in options.items()}
            service.add_recipient(transport, address.format(port=port), **filled)
        found = json.loads(service.running.tocsin("doctor", "--json").stdout)["checks"]
        lines = {one["code"]: one for one in found if one["code"].startswith("transport ")}
        assert set(lines) == {f"transport {name}" for name in AWAY}
        assert {one["state"] for one in lines.values()} == {"problem"}
        assert all(":test" in one["remedy"] for one in lines.values())
        service.report("photos", "failure")

        wait_until("an attempt", lambda: any(service.attempts(name) for name in AWAY), 60)
        found = json.loads(service.running.tocsin("doctor", "--json").stdout)["checks"]
        tried = [one["text"] for one in found if "The last attempt over " in one["text"]]
        assert tried
        assert not any("ended sent" in text for text in tried)


def test_a_program_that_works_has_a_line_and_a_monitoring_system_that_no_longer_does_too(tmp_path: Path):
    with chat_server() as server, pushing_service(tmp_path / "var") as service:
        url = f"http://127.0.0.1:{server.port}/hook"
        service.add_recipient("webhook", url)
        tested = service.send("POST", "/v1/transports/webhook:test", {"address": url})
        assert tested.is_success, tested.text
        service.report("photos", "failure")
        service.wait_for_attempt("webhook", "sent")
        [well] = checks(service, "transport webhook", "ok")
        assert "ended sent" in well["text"]
        server.status = 400
        service.report("music", "failure")
        service.wait_for_attempt("webhook", "permanent")
        assert checks(service, "transport webhook", "ok") == [], "the last message was refused"
        [note] = checks(service, "transport webhook", "note")
        assert "ended permanent" in note["text"]
        keys = [service.send("POST", "/v1/keys", {"kind": "monitor", "name": name}).json() for name in ("old", "new")]
        for key in keys:
            headers = {"Authorization": f"Bearer {key['key']}"}
            CLIENT.get(f"{service.running.url}/v1/status", headers=headers, timeout=30).raise_for_status()
        assert checks(service, "monitor keys", "note") == []
        with sqlite3.connect(tmp_path / "var/tocsin.db", timeout=30) as database:
            moved = f"created_at = created_at - 2 * {DAY_US}, last_used_at = created_at - 2 * {DAY_US}"
            database.execute(f"UPDATE keys SET {moved} WHERE id = ?", (keys[0]["id"],))
        [note] = checks(service, "monitor keys", "note")
        assert "the key old of kind monitor since" in note["text"]
        assert "revoke" in note["remedy"]
