"""The template in a real Zabbix server: imported by its API, jobs discovered, and a trigger that fires and recovers."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.support.measured import Measured, version_of
from tests.support.running import CLIENT, Running, serving, wait_until
from tests.support.sources import ROOT
from tests.support.zabbix_server import Zabbix, zabbix

pytestmark = [pytest.mark.needs("zabbix_server", "php"), pytest.mark.slow]
TEMPLATE = ROOT / "deploy/zabbix/tocsin.yaml"
DISCOVERED_WITHIN_S, SEEN_WITHIN_S = 120, 60
RULES = {name: {"createMissing": True, "updateExisting": True} for name in ("templates", "items", "triggers", "graphs", "discoveryRules", "templateDashboards", "valueMaps")}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Watched:
    """A service, a Zabbix that watches it, and the host of it there."""

    running: Running
    zabbix: Zabbix
    host: str

    def report(self, job: str, outcome: str) -> None:
        """Report one run."""
        event = {"agent": "sql01", "job": job, "outcome": outcome, "message": "disk full", "metrics": {"duration_s": 9}}
        headers = {"Authorization": f"Bearer {self.running.enrol_key}"}
        CLIENT.post(f"{self.running.url}/v1/events", json=event, headers=headers, timeout=30).raise_for_status()


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    folder = tmp_path_factory.mktemp("zabbix")
    with serving(folder / "var") as running, zabbix(folder / "zabbix") as server:
        admin = {"Authorization": f"Bearer {running.admin_key}"}
        body = {"kind": "monitor", "name": "zabbix"}
        key = CLIENT.post(f"{running.url}/v1/keys", json=body, headers=admin, timeout=30).json()["key"]
        source = TEMPLATE.read_text(encoding="utf-8")
        assert server.call("configuration.import", format="yaml", source=source, rules=RULES | {"groups": {"createMissing": True}})  # fmt: skip
        [template] = server.call("template.get", filter={"host": "Tocsin by HTTP"})
        [group] = server.call("hostgroup.get", filter={"name": "Zabbix servers"})
        macros = {"{$TOCSIN.URL}": running.url, "{$TOCSIN.KEY}": key, "{$TOCSIN.INTERVAL}": "2s"}
        made = server.call(
            "host.create",
            host="backups",
            groups=[{"groupid": group["groupid"]}],
            templates=[{"templateid": template["templateid"]}],
            macros=[{"macro": name, "value": value, "type": int("KEY" in name)} for name, value in macros.items()],
        )
        yield Watched(running, server, made["hostids"][0])


def test_jobs_are_discovered_and_a_failure_is_a_problem_until_the_job_is_well_again(watched: Watched):
    watched.report("nightly-sql", "success")
    watched.report("logs", "warning")

    def values() -> dict[str, str]:
        found = watched.zabbix.call("item.get", hostids=watched.host, output=["name", "lastvalue", "lastclock"])
        return {one["name"]: one["lastvalue"] for one in found if one["lastclock"] != "0"}

    def state_of(job: str) -> str | None:
        return next((value for name, value in values().items() if f"sql01: {job} (backup): state" in name), None)

    wait_until("the discovery", lambda: state_of("nightly-sql") == "0", DISCOVERED_WITHIN_S)
    wait_until("the warning", lambda: any("logs" in one for one in watched.zabbix.problems()), SEEN_WITHIN_S)
    measured = Measured("zabbix", f"Zabbix {version_of('zabbix_server')}")
    with measured.failure():
        watched.report("nightly-sql", "failure")
        wait_until("the problem", lambda: any("nightly-sql (backup): failed" in one for one in watched.zabbix.problems()), SEEN_WITHIN_S)  # fmt: skip
    wait_until("the counts", lambda: values()["Jobs that failed"] == "1" and values()["Verdict"] == "2", SEEN_WITHIN_S)
    assert any(name.endswith("message") and value == "disk full" for name, value in values().items())
    with measured.recovery():
        watched.report("nightly-sql", "success")
        wait_until("the recovery", lambda: not any("nightly-sql" in one for one in watched.zabbix.problems()), SEEN_WITHIN_S)  # fmt: skip
    unsupported = watched.zabbix.call("item.get", hostids=watched.host, output=["name", "error"], filter={"state": 1})
    assert unsupported == []


def test_the_key_is_a_secret_and_the_dashboard_is_there(watched: Watched):
    macros = watched.zabbix.call("usermacro.get", hostids=watched.host, output="extend")
    assert [one.get("value") for one in macros if one["macro"] == "{$TOCSIN.KEY}"] == [None]
    [template] = watched.zabbix.call("template.get", filter={"host": "Tocsin by HTTP"})
    [board] = watched.zabbix.call(
        "templatedashboard.get", templateids=template["templateid"], output=["name"], selectPages="extend"
    )
    assert (board["name"], len(board["pages"][0]["widgets"])) == ("Backups", 5)
