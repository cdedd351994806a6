"""`tocsin send-test --recipient`: a stored recipient of any transport is tested with its options, and what to change is printed."""

from pathlib import Path

import pytest

from tests.support.chat_server import chat_server
from tests.support.ports import lasting_port
from tests.support.reporting import PushingService, pushing_service

pytestmark = pytest.mark.slow
KEY = "R0123456789ABCDEFGHIJKLMNOPQRSTU"


def add(service: PushingService, name: str, *transports: tuple[str, str, dict[str, object]]) -> str:
    """Store a recipient and return its id."""
    sent = [
        {"transport": kind, "address": address, "options": options or None} for kind, address, options in transports
    ]
    made = service.send("POST", "/v1/recipients", {"name": name, "transports": sent})
    assert made.is_success, made.text
    return made.json()["id"]


def test_a_stored_recipient_is_tested_by_name_or_id_with_its_secrets(tmp_path: Path):
    with chat_server() as server, pushing_service(tmp_path / "var") as service:
        here = f"http://127.0.0.1:{server.port}"
        add(
            service,
            "the on-call tools",
            ("alertmanager", here, {"bearer_token": KEY}),
            ("pagerduty", f"{here}/v2/enqueue", {"routing_key": KEY}),
            ("opsgenie", here, {"api_key": KEY}),
            ("syslog", f"udp://127.0.0.1:{lasting_port()}", {}),
            ("snmp", f"snmp://127.0.0.1:{lasting_port()}", {"community": "c"}),
            ("apprise", "team", {"url": f"gotify://127.0.0.1:{server.port}/AbCdEfGhIjKlMnO"}),
            ("webhook", f"{here}/hook", {"format": "slack"}),
        )
        sent = service.running.tocsin("send-test", "--recipient", "the on-call tools")
        assert sent.returncode == 0, sent.stdout + sent.stderr
        ends = [line.split()[0] for line in sent.stdout.splitlines()]
        assert ends.count("sent") == 7
        paths = [path for path, _ in server.got]
        assert {"/api/v2/alerts", "/v2/enqueue", "/hook"} <= set(paths)
        assert KEY in "".join(body for path, body in server.got if path == "/v2/enqueue"), "with the stored key"
        assert KEY not in sent.stdout + sent.stderr

        only = service.running.tocsin("send-test", "--recipient", "the on-call tools", "--transport", "webhook")
        assert (only.returncode, [path for path, _ in server.got[len(paths) :]]) == (0, ["/hook"])
        assert f"webhook {here}/hook" in only.stdout
        none = service.running.tocsin("send-test", "--recipient", "the on-call tools", "--transport", "zabbix")
        assert (none.returncode, "no transport zabbix" in none.stderr) == (2, True)
        unknown = service.running.tocsin("send-test", "--recipient", "nobody")
        assert (unknown.returncode, "there is no recipient 'nobody'" in unknown.stderr) == (2, True)


def test_what_failed_is_printed_in_the_words_of_the_program_with_what_to_change(tmp_path: Path):
    with chat_server() as server, pushing_service(tmp_path / "var") as service:
        here, away = f"http://127.0.0.1:{server.port}", lasting_port()
        recipient_id = add(
            service,
            "monitoring",
            ("nagios", f"{here}/nrdp/", {"token": "t"}),
            ("icinga2", here, {"user": "u", "password": "p"}),
            ("zabbix", f"zabbix://127.0.0.1:{away}", {}),
            ("mapi", "ann@example.org", {}),
            ("webhook", f"{here}/hook", {}),
        )
        failed = service.running.tocsin("send-test", "--recipient", recipient_id)
        assert failed.returncode == 1
        assert "the answer is not from NRDP" in failed.stdout
        assert "the URL of NRDP" in failed.stderr
        assert "another program answers there" in failed.stderr
        assert "temporary  connect" in failed.stdout
        assert "Check that the program runs, host and port" in failed.stderr
        assert "TOCSIN_SMTP_URL" not in failed.stderr, "a fault of a program is no fault of the mail server"
        assert "not tested: its relay sends it" in failed.stdout
        assert server.got[-1][0] == "/hook", "those after one that failed are tested too"

        server.status = 404
        gone = service.running.tocsin("send-test", "--to", f"{here}/hook", "--transport", "webhook")
        assert (gone.returncode, "permanent  404" in gone.stdout) == (1, True)
        assert "no such path" in gone.stderr
        neither = service.running.tocsin("send-test")
        assert (neither.returncode, "--recipient" in neither.stderr) == (2, True)
