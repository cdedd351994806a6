"""The transport `icinga2` from a report to a real Icinga 2."""

from pathlib import Path

import pytest

from tests.support.icinga import PASSWORD, USER, icinga
from tests.support.reporting import pushing_service

SERVICES = ("photos failed",)
pytestmark = [pytest.mark.needs("icinga2"), pytest.mark.slow]


def test_a_failure_is_critical_there_and_a_success_ok(tmp_path: Path):
    with icinga(tmp_path / "icinga", {}, SERVICES) as server, pushing_service(tmp_path / "var") as service:
        options = {"host": "tocsin", "user": USER, "password": PASSWORD, "ca_certificate": server.ca.read_text()}
        url = server.url.replace("127.0.0.1", "localhost")
        service.add_recipient("icinga2", url, ttl_s=86400, **options)
        service.report("photos", "failure", 'disk "full" | 1=1; $(id)')
        output = server.wait_for("photos failed", "CRITICAL")
        assert "disk" in output
        assert server.service("photos failed")["last_check_result"]["ttl"] == 86400
        service.report("photos", "success")
        server.wait_for("photos failed", "OK")
        assert PASSWORD.encode() not in service.stored()
