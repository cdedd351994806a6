"""The transport `zabbix` from a report to a trapper item of a real Zabbix server."""

from pathlib import Path

import pytest

from tests.support.measured import Measured, version_of
from tests.support.reporting import pushing_service
from tests.support.running import wait_until
from tests.support.zabbix_server import Zabbix, zabbix

EVIL = 'photos","x]'
pytestmark = [pytest.mark.needs("zabbix_server", "php"), pytest.mark.slow]


def _last_value(server: Zabbix, item: str) -> str | None:
    found = server.call("history.get", itemids=item, history=3, sortfield="clock", sortorder="DESC", limit=1)
    return found[0]["value"] if found else None


def test_a_failure_and_its_end_reach_a_trapper_item(tmp_path: Path):
    with zabbix(tmp_path / "zabbix") as server, pushing_service(tmp_path / "var") as service:
        group = server.call("hostgroup.create", name="backups")["groupids"][0]
        host = server.call("host.create", host="nas01", groups=[{"groupid": group}])["hostids"][0]
        key = 'tocsin.state["photos","failed"]'
        item = server.call("item.create", hostid=host, name="photos", key_=key, type=2, value_type=3)["itemids"][0]
        service.add_recipient("zabbix", f"zabbix://127.0.0.1:{server.port}")
        service.report("photos", "failure")
        # Until the server has read the new item, it takes no value, and the message is sent again.
        wait_until("the failure", lambda: _last_value(server, item) == "2", 120)
        measured = Measured("zabbix-values", f"Zabbix {version_of('zabbix_server')}")
        with measured.recovery():
            service.report("photos", "success")
            wait_until("the end", lambda: _last_value(server, item) == "0", 120)
        with measured.failure():
            service.report("photos", "failure")
            wait_until("the second failure", lambda: _last_value(server, item) == "2", 120)
        service.report(EVIL, "failure")
        refused = wait_until(
            "the refusal",
            lambda: next((one for one in service.attempts("zabbix") if "failed: 1" in (one["text"] or "")), None),
        )
        assert refused["outcome"] == "temporary"
