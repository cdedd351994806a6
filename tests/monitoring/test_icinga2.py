"""The transport `icinga2` from a report to a real Icinga 2."""

from pathlib import Path

import pytest

from tests.support.icinga import HOST, PASSWORD, USER, Icinga, icinga
from tests.support.measured import Measured, version_of
from tests.support.reporting import PushingService, pushing_service
from tests.support.running import wait_until

SERVICES = ("photos failed", "photos warning")
TTL_S = 60
WARNINGS_OF_THE_RULE = 3  # in a row: fewer open no alert by the rule of a new service
HARD = 1  # of a soft state, Icinga notifies nobody
pytestmark = [pytest.mark.needs("icinga2"), pytest.mark.slow]


def add_icinga(service: PushingService, server: Icinga, ttl_s: int) -> None:
    """Make it a recipient, by the name in its certificate."""
    url = server.url.replace("127.0.0.1", "localhost")
    options = {"host": HOST, "user": USER, "password": PASSWORD, "ca_certificate": server.ca.read_text()}
    service.add_recipient("icinga2", url, ttl_s=ttl_s, **options)


def test_a_failure_is_critical_there_a_warning_a_warning_and_a_success_ok(tmp_path: Path):
    with icinga(tmp_path / "icinga", {}, SERVICES) as server, pushing_service(tmp_path / "var") as service:
        add_icinga(service, server, 86400)
        measured = Measured("icinga2-results", f"Icinga {version_of('icinga2')}")
        with measured.failure():
            service.report("photos", "failure", 'disk "full" | 1=1; $(id)')
            output = server.wait_for("photos failed", "CRITICAL")
        assert "disk" in output
        found = server.service("photos failed")
        assert (found["last_check_result"]["ttl"], found["state_type"]) == (86400, HARD)
        for _ in range(WARNINGS_OF_THE_RULE):
            service.report("photos", "warning", "3 files were skipped")
        assert "3 files were skipped" in server.wait_for("photos warning", "WARNING")
        server.wait_for("photos failed", "OK")
        with measured.recovery():
            service.report("photos", "success")
            server.wait_for("photos warning", "OK")
        assert PASSWORD.encode() not in service.stored()


def test_a_service_that_icinga_lacks_is_named(tmp_path: Path):
    with icinga(tmp_path / "icinga", {}, SERVICES) as server, pushing_service(tmp_path / "var") as service:
        add_icinga(service, server, 86400)
        service.report("photos", "failure")
        server.wait_for("photos failed", "CRITICAL")
        service.report("mails", "failure")
        refused = wait_until(
            "an attempt that is refused",
            lambda: next((one for one in service.attempts("icinga2") if one["code"] == "service"), None),
        )
        assert refused["outcome"] == "temporary"
        assert f"Icinga has no service {HOST}!mails failed" in refused["text"]


def test_the_result_of_an_open_alert_is_sent_again_until_the_service_ends_and_is_unknown_after_its_ttl(tmp_path: Path):
    with icinga(tmp_path / "icinga", {}, SERVICES) as server:
        with pushing_service(tmp_path / "var") as service:
            add_icinga(service, server, TTL_S)
            service.report("photos", "failure")
            server.wait_for("photos failed", "CRITICAL")
            first = server.service("photos failed")["last_check_result"]["execution_end"]

            def is_repeated() -> bool:
                return server.service("photos failed")["last_check_result"]["execution_end"] > first + TTL_S / 2

            wait_until("results after the first ones", is_repeated, TTL_S)
            assert server.service("photos failed")["state"] == 2  # CRITICAL
            messages = service.running.ask("/v1/messages", limit="200")["items"]
            assert len([one for one in messages if not one["is_alert"]]) <= 2
        server.wait_for("photos failed", "UNKNOWN", 2 * TTL_S)
