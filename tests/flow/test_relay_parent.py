"""The relay's parent, as a process against the real service, on a played Windows: it is killed, the service is killed, clients hang and die."""

import signal
import sqlite3
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tests.support import relay_host
from tests.support.running import Running, serving, wait_until


@dataclass
class Pair:
    """A service and a relay."""

    service: Running
    folder: Path
    relay_id: str
    key: str
    process: "subprocess.Popen[bytes] | None" = None

    def tell(self, path: str, method: str = "POST", **body: Any) -> Any:
        key = {"Authorization": f"Bearer {self.service.admin_key}"}
        answer = httpx.request(method, self.service.url + path, json=body or None, headers=key, timeout=30)
        assert answer.is_success, answer.text
        return answer.json()

    def start(self) -> None:
        self.process = relay_host.start(self.service.url, self.key, self.folder)

    def kill(self) -> None:
        assert self.process is not None
        children = psutil.Process(self.process.pid).children(recursive=True)
        for one in (self.process, *children):
            one.send_signal(signal.SIGKILL)
        self.process.wait(10)

    def end(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(30)

    def test(self) -> str:
        """Queue a message for this relay."""
        return str(self.tell(f"/v1/relays/{self.relay_id}:test", address="admin@example.org")["message_id"])

    def life(self, message_id: str) -> dict[str, Any]:
        return self.service.ask(f"/v1/messages/{message_id}")

    def until(self, message_id: str, *states: str, patience_s: float = 30) -> dict[str, Any]:
        def look() -> dict[str, Any] | None:
            found = self.life(message_id)
            return found if found["state"] in states else None

        try:
            return wait_until(f"{message_id} {states}", look, patience_s)
        except TimeoutError as late:
            raise AssertionError(f"{late}: {self.life(message_id)} {self.log()[-2000:]}") from late

    def log(self) -> str:
        return (self.folder / "host.log").read_text(encoding="utf-8")

    def shown(self) -> dict[str, Any]:
        return self.service.ask(f"/v1/relays/{self.relay_id}")


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with serving(tmp_path_factory.mktemp("service")) as service:
        yield service


@pytest.fixture
def pair(service: Running, tmp_path: Path) -> Iterator[Pair]:
    pair = Pair(service, tmp_path / "relay", "", "")
    pair.relay_id = pair.tell("/v1/relays", name=tmp_path.name)["id"]
    pair.key = pair.tell("/v1/keys", kind="relay", name=tmp_path.name, relay_id=pair.relay_id)["key"]
    relay_host.script(pair.folder)
    try:
        yield pair
    finally:
        pair.end()


def test_a_message_is_sent_and_proven_and_the_relay_tells_how_it_is(pair: Pair) -> None:
    pair.start()
    sent = pair.until(pair.test(), "sent")
    assert relay_host.left(pair.folder) == [sent["message_id"]]
    assert "found in Sent Items" in sent["tries"][0]["text"]
    shown = wait_until("the doctor", lambda: (one := pair.shown())["doctor"] and one)
    assert (shown["client"], shown["wrong_now"], shown["says_paused"]) == ("Microsoft Outlook", None, "")


@pytest.mark.parametrize("moment", ["open", "create", "submit", "submitted", "find"])
def test_killed_at_each_moment_it_loses_nothing_and_sends_nothing_twice(pair: Pair, moment: str) -> None:
    pair.start()
    wait_until("the doctor", lambda: pair.shown()["doctor_at"])
    relay_host.script(pair.folder, hang=[moment])
    message_id = pair.test()
    phases = {
        "open": "logon",
        "create": "opened",
        "submit": "submitting",
        "submitted": "submitting",
        "find": "submitted",
    }
    wait_until(moment, lambda: _phase(pair, message_id) == phases[moment])
    if moment == "submitted":
        time.sleep(0.3)  # the mark in the Outbox is set right behind the phase
    pair.kill()
    relay_host.script(pair.folder)
    pair.start()
    ended = pair.until(message_id, "sent", "queued")
    if moment in ("open", "create", "submit"):
        assert (ended["state"], ended["tries"][0]["outcome"]) == ("queued", "temporary"), "it surely never left"
        assert relay_host.left(pair.folder) == []
    else:
        assert ended["state"] == "sent"
        assert relay_host.left(pair.folder) == [ended["message_id"]]


def _phase(pair: Pair, message_id: str) -> str:
    with sqlite3.connect(f"file:{pair.folder / 'spool.db'}?mode=ro", uri=True) as spool:
        row = spool.execute("SELECT phase FROM messages WHERE id = ?", (message_id,)).fetchone()
    spool.close()
    return row[0] if row else ""


def test_the_service_is_killed_while_a_message_is_on_its_way(pair: Pair) -> None:
    pair.start()
    wait_until("the doctor", lambda: pair.shown()["doctor_at"])
    relay_host.script(pair.folder, drain=1.0)
    message_id = pair.test()
    wait_until("submitted", lambda: _phase(pair, message_id) == "submitted")
    pair.service.kill_and_start_again()
    sent = pair.until(message_id, "sent", patience_s=60)
    assert Counter(relay_host.left(pair.folder)) == {sent["message_id"]: 1}


def test_a_dead_child_and_a_wrong_answer_of_mapi(pair: Pair) -> None:
    pair.start()
    wait_until("the doctor", lambda: pair.shown()["doctor_at"])
    relay_host.script(pair.folder, end=["create"])
    first = pair.test()
    wait_until("its end", lambda: any(one["outcome"] for one in pair.life(first)["tries"]))
    assert pair.life(first)["tries"][0]["code"] == "mapi transient"
    relay_host.script(pair.folder, refuse={"open": 0x80040111})
    second = pair.test()
    wait_until("its end", lambda: any(one["outcome"] for one in pair.life(second)["tries"]))
    assert pair.life(second)["tries"][0]["code"] == "mapi logon_failed"
    shown = pair.shown()
    assert "logon_failed" in shown["paused_why"]
    relay_host.script(pair.folder)
    pair.tell(f"/v1/relays/{pair.relay_id}:resume")
    third = pair.test()
    pair.until(third, "sent")


def test_a_message_that_sticks_is_taken_back(pair: Pair) -> None:
    pair.start()
    wait_until("the doctor", lambda: pair.shown()["doctor_at"])
    relay_host.script(pair.folder, drain=None)
    message_id = pair.test()
    wait_until("its end", lambda: any(one["outcome"] for one in pair.life(message_id)["tries"]))
    [attempt] = pair.life(message_id)["tries"]
    assert (attempt["code"], '"aborted": true' in attempt["text"]) == ("mapi stuck", True)
    assert "Outbox" in pair.shown()["wrong_now"]
    assert list((pair.folder / "mailbox" / "outbox").glob("*.json")) == []


def test_what_was_settled_while_the_service_was_away_is_told_when_it_is_back(pair: Pair) -> None:
    pair.start()
    wait_until("the doctor", lambda: pair.shown()["doctor_at"])
    relay_host.script(pair.folder, drain=1.5)
    message_id = pair.test()
    wait_until("submitted", lambda: _phase(pair, message_id) == "submitted")
    process = psutil.Process(pair.service.processes[-1].pid)
    process.suspend()
    wait_until("the proof", lambda: relay_host.left(pair.folder))
    time.sleep(1)
    pair.kill()
    process.resume()
    pair.start()
    sent = pair.until(message_id, "sent")
    assert Counter(relay_host.left(pair.folder)) == {sent["message_id"]: 1}
