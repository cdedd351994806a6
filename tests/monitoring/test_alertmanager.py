"""The transport `alertmanager` from a report to a real Alertmanager, through a service that runs."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.alertmanager import alertmanager
from tests.support.measured import Measured, version_of
from tests.support.running import CLIENT, LOG, Running, serving, wait_until

pytestmark = pytest.mark.needs("prometheus-alertmanager")

SECRET = "a-bearer-token-that-nobody-may-see"
EVIL = '{id}", "severity": "none" {{ .Labels }} @everyone'


@dataclass(frozen=True, slots=True)
class Pushing:
    """A service that reports to programs."""

    running: Running

    def send(self, method: str, path: str, body: object | None = None) -> dict:
        """Call the API as an administrator."""
        headers = {"Authorization": f"Bearer {self.running.admin_key}"}
        answer = CLIENT.request(method, f"{self.running.url}{path}", json=body, headers=headers)
        assert answer.is_success, answer.text
        return answer.json()

    def recipient(self, *transports: dict, name: str = "programs", **route: object) -> dict:
        """Add a recipient to which every alert goes."""
        made = self.send("POST", "/v1/recipients", {"name": name, "transports": list(transports)})
        self.send(
            "POST",
            "/v1/routes",
            {
                "name": name,
                "position": 0,
                "recipients": [made["id"]],
                "group_wait_s": 0,
                "group_interval_s": 1,
                **route,
            },
        )
        return made

    def report(self, job: str, outcome: str, message: str = "the disk is full") -> None:
        """Report the end of a run."""
        headers = {"Authorization": f"Bearer {self.running.enrol_key}"}
        event = {"agent": "nas01", "job": job, "outcome": outcome, "message": message}
        CLIENT.post(f"{self.running.url}/v1/events", json=event, headers=headers, timeout=30).raise_for_status()

    def all_sent(self) -> list[dict] | None:
        """Return the messages to Alertmanager once each of them is sent."""
        messages = [one for one in self.running.ask("/v1/messages")["items"] if one["transport"] == "alertmanager"]
        return messages if {one["state"] for one in messages} == {"sent"} else None


@pytest.fixture
def pushing(tmp_path: Path) -> Iterator[Pushing]:
    with serving(tmp_path / "var", TOCSIN_WEBHOOK_ALLOW_PRIVATE="true") as running:
        yield Pushing(running)


def by_job(alerts: list[dict]) -> dict[str, dict]:
    """Return alerts of an Alertmanager by the job that they are about."""
    return {one["labels"]["job"]: one for one in alerts}


def test_a_failure_fires_and_a_success_ends_it(pushing: Pushing, tmp_path: Path):
    with alertmanager(tmp_path / "am") as manager:
        options = {"labels": {"team": "backup", "activity": ""}, "bearer_token": SECRET}
        made = pushing.recipient(
            {"transport": "alertmanager", "address": manager.url, "options": options}, send_recovery=False
        )
        assert made["transports"][0]["options"]["bearer_token"] == "set"
        measured = Measured("alertmanager", f"Alertmanager {version_of('prometheus-alertmanager')}")
        fired: Callable[[], dict | None] = lambda: by_job(manager.alerts()).get("photos")  # noqa: E731
        with measured.failure():
            pushing.report("photos", "failure", EVIL)
            alert = wait_until("the alert", fired)
        assert alert["labels"]["team"] == "backup"
        assert alert["labels"]["agent"] == "nas01"
        assert "activity" not in alert["labels"]
        assert alert["annotations"]["description"] == EVIL
        assert alert["generatorURL"].endswith(alert["labels"]["tocsin_alert"])
        with measured.recovery():
            pushing.report("photos", "success")
            wait_until("the end", lambda: not manager.alerts())
        # A delivery is settled after the answer of its receiver.
        messages = wait_until("the proof that all were sent", pushing.all_sent)
        assert len(messages) >= 2
    shown = [str(messages), str(pushing.running.ask("/v1/recipients")), str(pushing.running.ask("/v1/audit"))]
    stored = (pushing.running.folder / "tocsin.db").read_bytes() + (pushing.running.folder / LOG).read_bytes()
    assert SECRET not in "".join(shown)
    assert SECRET.encode() not in stored


def test_a_test_and_a_preview(pushing: Pushing, tmp_path: Path):
    with alertmanager(tmp_path / "am") as manager:
        to = {"address": manager.url, "options": {"bearer_token": SECRET}}
        shown = pushing.send("POST", "/v1/transports/alertmanager:preview", to)["content"]
        assert f"POST {manager.url}/api/v2/alerts\n" in shown
        assert "authorization: ***\n" in shown
        assert SECRET not in shown
        assert pushing.send("POST", "/v1/transports/alertmanager:test", to)["outcome"] == "sent"
        assert not manager.alerts()


def test_secrets_stay_with_their_address(pushing: Pushing):
    here, there = "http://127.0.0.1:9", "http://127.0.0.1:19"
    address = {"transport": "alertmanager", "address": here, "options": {"bearer_token": SECRET}}
    made = pushing.recipient(address)
    same = pushing.send("PATCH", f"/v1/recipients/{made['id']}", {"transports": made["transports"]})
    assert same["version"] == made["version"]
    left_out = [{**address, "options": {"labels": {"a": "b"}}}]
    kept = pushing.send("PATCH", f"/v1/recipients/{made['id']}", {"transports": left_out})
    assert kept["transports"][0]["options"]["bearer_token"] == "set"
    moved = pushing.send("PATCH", f"/v1/recipients/{made['id']}", {"transports": [{**left_out[0], "address": there}]})
    assert moved["transports"][0]["options"]["bearer_token"] is None


def test_our_own_address_is_refused(pushing: Pushing):
    body = {"name": "loop", "transports": [{"transport": "alertmanager", "address": f"{pushing.running.url}/am"}]}
    headers = {"Authorization": f"Bearer {pushing.running.admin_key}"}
    answer = CLIENT.post(f"{pushing.running.url}/v1/recipients", json=body, headers=headers)
    assert answer.status_code == 422, answer.text


def test_an_alertmanager_that_forgot_its_alerts_has_them_back(pushing: Pushing, tmp_path: Path):
    with alertmanager(tmp_path / "am", resolve_timeout="15s") as manager:
        pushing.recipient({"transport": "alertmanager", "address": manager.url, "options": {"refresh_s": 5}})
        for job in ("photos", "mails"):
            pushing.report(job, "failure")
        wait_until("both", lambda: set(by_job(manager.alerts())) == {"photos", "mails"})
        manager.kill()
        manager.start()
        wait_until("both again", lambda: set(by_job(manager.alerts())) == {"photos", "mails"}, 60)
        pushing.report("photos", "success")
        wait_until("the end of one", lambda: set(by_job(manager.alerts())) == {"mails"}, 60)
        messages = pushing.running.ask("/v1/messages", limit="200")["items"]
        assert len([one for one in messages if not one["is_alert"]]) <= 2
