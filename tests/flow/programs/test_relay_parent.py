"""The relay's parent, as a process against the real service, on a simulated Windows: it is killed, the service is killed, clients hang and die."""

import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.support import relay_host
from tests.support.relay_pair import Pair, paired
from tests.support.running import CLIENT, Running, serving, wait_until


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with serving(tmp_path_factory.mktemp("service")) as service:
        yield service


@pytest.fixture
def pair(service: Running, tmp_path: Path) -> Iterator[Pair]:
    with paired(service, tmp_path) as pair:
        yield pair


def test_a_message_is_sent_and_proven_and_the_relay_reports_its_state(pair: Pair) -> None:
    pair.start()
    sent = pair.until(pair.test(), "sent")
    assert relay_host.left(pair.folder) == [sent["message_id"]]
    assert sent["tries"][0]["evidence"]["proof"] == "found in Sent Items"
    shown = wait_until("the doctor", lambda: (one := pair.shown())["doctor"] and one)
    assert (shown["client"], shown["wrong_now"], shown["says_paused"]) == ("Microsoft Outlook", None, "")


@pytest.mark.slow
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
    wait_until(moment, lambda: pair.phase(message_id) == phases[moment])
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


@pytest.mark.slow
def test_the_service_is_killed_while_a_message_is_on_its_way(pair: Pair) -> None:
    pair.start()
    wait_until("the doctor", lambda: pair.shown()["doctor_at"])
    relay_host.script(pair.folder, drain=1.0)
    message_id = pair.test()
    wait_until("submitted", lambda: pair.phase(message_id) == "submitted")
    pair.service.kill_and_start_again()
    sent = pair.until(message_id, "sent", patience_s=60)
    assert Counter(relay_host.left(pair.folder)) == {sent["message_id"]: 1}


@pytest.mark.slow
def test_a_dead_child_and_a_failed_logon_end_by_themselves(pair: Pair) -> None:
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
    assert ("its logon failed" in shown["wrong_now"], shown["paused_at"]) == (True, None)
    relay_host.script(pair.folder)
    wait_until("the doctor's word", lambda: pair.shown()["wrong_now"] is None, 90)
    pair.until(pair.test(), "sent")


def test_a_message_that_sticks_is_taken_back(pair: Pair) -> None:
    pair.start()
    wait_until("the doctor", lambda: pair.shown()["doctor_at"])
    relay_host.script(pair.folder, drain=None)
    message_id = pair.test()
    wait_until("its end", lambda: any(one["outcome"] for one in pair.life(message_id)["tries"]))
    [attempt] = pair.life(message_id)["tries"]
    assert (attempt["code"], attempt["evidence"]["aborted"]) == ("mapi stuck", True)
    assert "Outbox" in pair.shown()["wrong_now"]
    assert list((pair.folder / "mailbox" / "outbox").glob("*.json")) == []


@pytest.mark.slow
def test_a_verdict_from_an_outage_of_the_service_is_handed_in_afterwards(pair: Pair) -> None:
    pair.start()
    wait_until("the doctor", lambda: pair.shown()["doctor_at"])
    relay_host.script(pair.folder, drain=1.5)
    message_id = pair.test()
    wait_until("submitted", lambda: pair.phase(message_id) == "submitted")
    process = psutil.Process(pair.service.processes[-1].pid)
    process.suspend()
    wait_until("the proof", lambda: relay_host.left(pair.folder))
    time.sleep(1)
    pair.kill()
    process.resume()
    pair.start()
    sent = pair.until(message_id, "sent")
    assert Counter(relay_host.left(pair.folder)) == {sent["message_id"]: 1}


@pytest.fixture
def by_file(pair: Pair) -> None:
    """Have alerts go by mapi first, and by file where that cannot."""
    # The relays of other tests ended, but reported within the last five minutes: messages would wait for one of them.
    key = {"Authorization": f"Bearer {pair.service.admin_key}"}
    for relay in pair.service.ask("/v1/relays")["items"]:
        if relay["id"] != pair.relay_id:
            CLIENT.delete(f"{pair.service.url}/v1/relays/{relay['id']}", headers=key, timeout=30).raise_for_status()
    [admin] = pair.service.ask("/v1/recipients")["items"]
    ways = [{"transport": way, "address": "admin@example.org"} for way in ("mapi", "file")]
    pair.tell(f"/v1/recipients/{admin['id']}", "PATCH", transports=ways)
    [route] = pair.service.ask("/v1/routes")["items"]
    pair.tell(f"/v1/routes/{route['id']}", "PATCH", group_by=["job"], group_interval_s=0)


def fail(pair: Pair, *jobs: str) -> None:
    """Report failed backups, of the kind that never waits."""
    key = {"Authorization": f"Bearer {pair.service.enrol_key}"}
    for job in jobs:
        event = {"agent": "sql01", "job": job, "outcome": "failure", "severity": "critical", "message": "locked"}
        CLIENT.post(f"{pair.service.url}/v1/events", json=event, headers=key, timeout=30).raise_for_status()


def sent_by_file(pair: Pair, *jobs: str) -> bool:
    messages = pair.service.ask("/v1/messages", state="sent", transport="file", limit="200")["items"]
    return all(any(job in one["subject"] for one in messages) for job in jobs)


@pytest.mark.slow
@pytest.mark.usefixtures("by_file")
def test_six_alerts_into_a_jammed_outbox_leave_within_a_minute_and_the_relay_comes_back_by_itself(pair: Pair) -> None:
    """Until the first is known to be stuck, and one after the other, they waited for two minutes each."""
    relay_host.script(pair.folder, drain=None)
    pair.start(drain=90)
    wait_until("the doctor", lambda: pair.shown()["doctor_at"])
    jobs = [f"jammed-{number}" for number in range(6)]
    began = time.monotonic()
    fail(pair, *jobs)
    wait_until("five by the next way", lambda: sum(sent_by_file(pair, job) for job in jobs) >= 5, 90)
    assert time.monotonic() - began < 75, "they need about 40 s: half a minute until it counts as a jam, and the sweep"
    shown = wait_until("the first to be taken back", lambda: (one := pair.shown())["broken_at"] and one, 120)
    assert "Outbox" in shown["wrong_now"]
    wait_until("the first by the next way", lambda: sent_by_file(pair, *jobs), 30)
    fail(pair, "later")
    wait_until("it by the next way at once", lambda: sent_by_file(pair, "later"), 20)
    relay_host.script(pair.folder)
    trial = pair.test()  # a probe
    pair.until(trial, "sent", patience_s=60)
    assert pair.shown()["wrong_now"] is None
    assert Counter(relay_host.left(pair.folder)) == {pair.life(trial)["message_id"]: 1}


def test_a_second_relay_on_the_same_folder_ends_and_the_first_goes_on(pair: Pair) -> None:
    pair.start()
    wait_until("the doctor", lambda: pair.shown()["doctor_at"])
    second = relay_host.start(pair.service.url, pair.key, pair.folder)
    assert second.wait(30) != 0
    assert "another relay works with" in pair.log()
    pair.until(pair.test(), "sent")
