"""The transport `nagios` from a report through NRDP to a real Nagios 4, as a passive result."""

from pathlib import Path

import pytest

from tests.support.measured import Measured, version_of
from tests.support.nagios import nagios
from tests.support.nrdp import TOKEN, nrdp
from tests.support.reporting import pushing_service
from tests.support.running import wait_until

pytestmark = [pytest.mark.needs("nagios4"), pytest.mark.slow]
PASSIVE = "photos failed"


def test_a_failure_is_critical_there_and_a_success_ok(tmp_path: Path):
    # No check of its own: the only service takes results.
    with nagios(tmp_path / "nagios", {}, passive=[PASSIVE]) as server, pushing_service(tmp_path / "var") as service:
        commands = tmp_path / "nagios/nagios.cmd"
        wait_until("the command file", commands.exists)
        with nrdp(commands) as url:
            service.add_recipient("nagios", url, host="tocsin", token=TOKEN)
            measured = Measured("nagios-results", f"Nagios {version_of('nagios4')} behind an NRDP server of the tests")
            with measured.failure():
                service.report("photos", "failure", "disk <full>; & more | 1=1")
                assert "disk <full>" in server.wait_for(PASSIVE, "CRITICAL")
            with measured.recovery():
                service.report("photos", "success")
                server.wait_for(PASSIVE, "OK")
            assert TOKEN.encode() not in service.stored()


def test_a_wrong_token_is_a_failure_although_the_status_is_200(tmp_path: Path):
    with pushing_service(tmp_path / "var") as service, nrdp(tmp_path / "nothing") as url:
        service.add_recipient("nagios", url, host="tocsin", token="wrong")
        service.report("photos", "failure")
        assert "status -1" in service.wait_for_attempt("nagios", "temporary")["text"]
