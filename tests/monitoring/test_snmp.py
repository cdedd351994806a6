"""The transport `snmp` from a report to a real snmptrapd."""

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


async def test_traps_of_version_3_of_two_processes_are_all_taken(tmp_path: Path):
    """A worker, a second worker and a test by an administrator have one engine id: none may make the receiver drop the others' traps."""
    engine_id, secret = b"\x80\x00\x7e\xd9\x05" + b"of one site!", {"auth": AUTH, "priv": PRIV}
    network = PublicOnly(is_allowed=lambda _: True)
    options = SnmpOptions(version="3", user=USER, auth_password=Sealed("auth"), priv_password=Sealed("priv"))
    with snmptrapd(tmp_path / "snmp", engine_id=engine_id.hex()) as daemon:
        body = example_alerts(now(), "https://tocsin.example.org")
        parcel = Parcel("msg_1", "rcp_1", f"snmp://127.0.0.1:{daemon.port}", "<1@x>", body, options=options)
        async with AsyncExitStack() as closing:
            first, second = (SnmpTransport(network, lambda it: secret[it.ciphertext], 5.0, engine_id) for _ in range(2))
            closing.push_async_callback(first.close)
            closing.push_async_callback(second.close)
            for sent, transport in enumerate((first, second, first, second), start=1):
                assert isinstance(await transport.send(parcel), Sent)
                wait_until(f"trap {sent}", lambda sent=sent: len(daemon.lines()) == sent)
