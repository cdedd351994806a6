"""The transport `snmp` from a report to a real snmptrapd."""

import re
import subprocess
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from app.compose.transport_test_mail import example_alerts
from app.core.clock import now
from app.deliver.transports.public_only import PublicOnly
from app.deliver.transports.snmp import SnmpTransport
from app.domain.attempt import Sent
from app.domain.message import Parcel
from app.domain.transport_options import Sealed, SnmpOptions
from tests.support.measured import Measured, version_of
from tests.support.ports import lasting_port
from tests.support.reporting import pushing_service
from tests.support.running import wait_until
from tests.support.smi_modules import write_smi_modules
from tests.support.snmptrapd import AUTH, COMMUNITY, PRIV, USER, snmptrapd
from tests.support.sources import ROOT as SOURCES

OPENED, CLOSED = ".1.3.6.1.4.1.32473.1.0.1", ".1.3.6.1.4.1.32473.1.0.4"
JOB, STATE = ".1.3.6.1.4.1.32473.1.1.4.0", ".1.3.6.1.4.1.32473.1.1.8.0"
MIB = SOURCES / "deploy/snmp/TOCSIN-MIB.txt"
pytestmark = [pytest.mark.needs("snmptrapd"), pytest.mark.slow]


@pytest.mark.parametrize("form", ["trap", "inform"])
def test_a_failure_and_its_end_are_one_notification_each(tmp_path: Path, form: str):
    with snmptrapd(tmp_path / "snmp") as daemon, pushing_service(tmp_path / "var") as service:
        service.add_recipient("snmp", f"snmp://127.0.0.1:{daemon.port}", form=form, community=COMMUNITY)
        measured = Measured("snmp", f"snmptrapd {version_of('snmptrapd')}; the MIB by smilint {version_of('smilint')}")
        with measured.failure():
            service.report("photos", "failure")
            [line] = wait_until("the notification", daemon.lines)
        assert OPENED in line
        assert f'{JOB} = STRING: "photos"' in line
        assert f'{STATE} = STRING: "opened"' in line
        sent = service.wait_for_attempt("snmp", "sent")
        assert ("handed to the network" if form == "trap" else "answered") in sent["text"]
        with measured.recovery():
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


async def test_traps_of_version_3_of_two_processes_are_all_taken(tmp_path: Path):
    """A worker, a second worker and a test by an administrator have one engine id: none may make the receiver drop the others' traps."""
    engine_id, secret = b"\x80\x00\x7e\xd9\x05" + b"of one site!", {"auth": AUTH, "priv": PRIV}
    network = PublicOnly(is_allowed=lambda _: True)
    options = SnmpOptions(version="3", user=USER, auth_password=Sealed("auth"), priv_password=Sealed("priv"))
    with snmptrapd(tmp_path / "snmp", engine_id=f"0x{engine_id.hex()}") as daemon:
        body = example_alerts(now(), "https://tocsin.example.org")
        parcel = Parcel("msg_1", "rcp_1", f"snmp://127.0.0.1:{daemon.port}", "<1@x>", body, options=options)
        async with AsyncExitStack() as closing:
            first, second = (SnmpTransport(network, lambda it: secret[it.ciphertext], 5.0, engine_id) for _ in range(2))
            closing.push_async_callback(first.close)
            closing.push_async_callback(second.close)
            for sent, transport in enumerate((first, second, first, second), start=1):
                assert isinstance(await transport.send(parcel), Sent)
                wait_until(f"trap {sent}", lambda sent=sent: len(daemon.lines()) == sent)


def test_traps_of_version_3_are_accepted_also_after_a_test_by_the_api(tmp_path: Path):
    port = lasting_port()
    login = {"version": "3", "form": "trap", "user": USER, "auth_password": AUTH, "priv_password": PRIV}
    to = {"address": f"snmp://127.0.0.1:{port}", "options": login}
    with pushing_service(tmp_path / "var") as service:
        shown = service.send("POST", "/v1/transports/snmp:preview", to).json()["content"]
        [engine_id] = re.findall(r"^engine id = (0x[0-9a-f]+)$", shown, re.MULTILINE)
        with snmptrapd(tmp_path / "snmp", engine_id=engine_id, port=port) as daemon:
            service.add_recipient("snmp", to["address"], **login)
            for number, job in enumerate(("photos", "mails"), start=1):
                service.report(job, "failure")
                wait_until(job, lambda job=job: any(f'"{job}"' in line for line in daemon.lines()))
                assert service.send("POST", "/v1/transports/snmp:test", to).json()["outcome"] == "sent"
                wait_until("the test and its end", lambda number=number: len(daemon.lines()) == 3 * number)


@pytest.mark.needs("smilint")
def test_the_mib_has_no_fault_by_smilint(tmp_path: Path):
    modules = write_smi_modules(tmp_path / "mibs")
    command = ["smilint", "-s", "-l", "6", *(f"-p{module}" for module in modules)]
    assert [line for line in _run([*command, str(MIB)]) if MIB.name in line] == []
    broken = tmp_path / "TOCSIN-MIB.txt"
    broken.write_text(MIB.read_text().replace("tocsinAlertGroup, tocsinNotificationGroup }", "tocsinAlertGroup }"))
    assert any("tocsinNotificationGroup" in line for line in _run([*command, str(broken)]))


def test_a_receiver_with_the_mib_shows_its_names(tmp_path: Path):
    write_smi_modules(tmp_path / "mibs")
    with (
        snmptrapd(tmp_path / "snmp", mibs=[tmp_path / "mibs", MIB.parent]) as daemon,
        pushing_service(tmp_path / "var") as service,
    ):
        service.add_recipient("snmp", f"snmp://127.0.0.1:{daemon.port}", community=COMMUNITY)
        service.report("fotos-münchen", "failure")
        [line] = wait_until("the notification", daemon.lines)
        assert "OID: TOCSIN-MIB::tocsinAlertOpened" in line
        assert "TOCSIN-MIB::tocsinAlertJob.0 = STRING: fotos-münchen" in line
        assert "TOCSIN-MIB::tocsinAlertState.0 = STRING: opened" in line
        assert "Unknown" not in (tmp_path / "snmp/lines").read_text()


def _run(command: list[str]) -> list[str]:
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return (ran.stdout + ran.stderr).splitlines()
