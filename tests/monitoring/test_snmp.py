"""The transport `snmp` from a report to a real snmptrapd."""

from pathlib import Path

import pytest

from tests.support.ports import lasting_port
from tests.support.reporting import pushing_service
from tests.support.running import wait_until
from tests.support.snmptrapd import AUTH, COMMUNITY, PRIV, USER, snmptrapd

OPENED, CLOSED = ".1.3.6.1.4.1.32473.1.0.1", ".1.3.6.1.4.1.32473.1.0.4"
JOB, STATE = ".1.3.6.1.4.1.32473.1.1.4.0", ".1.3.6.1.4.1.32473.1.1.8.0"
pytestmark = [pytest.mark.needs("snmptrapd"), pytest.mark.slow]


@pytest.mark.parametrize("form", ["trap", "inform"])
def test_a_failure_and_its_end_are_one_notification_each(tmp_path: Path, form: str):
    with snmptrapd(tmp_path / "snmp") as daemon, pushing_service(tmp_path / "var") as service:
        service.add_recipient("snmp", f"snmp://127.0.0.1:{daemon.port}", form=form, community=COMMUNITY)
        service.report("photos", "failure")
        [line] = wait_until("the notification", daemon.lines)
        assert OPENED in line
        assert f'{JOB} = STRING: "photos"' in line
        assert f'{STATE} = STRING: "opened"' in line
        sent = service.wait_for_attempt("snmp", "sent")
        assert ("handed to the network" if form == "trap" else "answered") in sent["text"]
        service.report("photos", "success")
        wait_until("the end", lambda: len(daemon.lines()) == 2)
        assert CLOSED in daemon.lines()[1]
        assert COMMUNITY.encode() not in service.stored()


def test_an_inform_of_version_3_is_authenticated_and_encrypted(tmp_path: Path):
    with snmptrapd(tmp_path / "snmp") as daemon, pushing_service(tmp_path / "var") as service:
        login = {"version": "3", "form": "inform", "user": USER, "auth_password": AUTH, "priv_password": PRIV}
        service.add_recipient("snmp", f"snmp://127.0.0.1:{daemon.port}", **login)
        service.report("photos", "failure")
        assert OPENED in wait_until("the notification", daemon.lines)[0]
        service.wait_for_attempt("snmp", "sent")
        assert AUTH.encode() not in service.stored()
        assert PRIV.encode() not in service.stored()


def test_an_inform_without_an_answer_is_tried_again(tmp_path: Path):
    with pushing_service(tmp_path / "var") as service:
        service.add_recipient("snmp", f"snmp://127.0.0.1:{lasting_port()}", form="inform")
        service.report("photos", "failure")
        assert "No SNMP response" in service.wait_for_attempt("snmp", "temporary")["text"]
