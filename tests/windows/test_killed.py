"""Child, relay and service killed at every phase: no message is lost, and none leaves the Outbox twice by our doing.

A message that may have left and cannot be found any more is the one thing that may go out again, by SMTP, and says so.
"""

import os
import random
import signal
import time
from collections import Counter

import psutil
import pytest

from tests.support.running import wait_until
from tests.windows.site import Site

ROUNDS = int(os.environ.get("WINDOWS_ROUNDS", "20" if os.environ.get("WINDOWS_KILLS") else "4"))
SETTLED = ("sent", "moved", "dead")


def relay_processes() -> tuple[list[psutil.Process], list[psutil.Process]]:
    """Give the processes of the relay itself, and those of its children, as this system sees them."""
    parents, children = [], []
    for process in psutil.process_iter(["name", "cmdline", "status"]):
        words = [word for word in process.info["cmdline"] or [] if word]
        if process.info["name"] != "python.exe" or process.info["status"] == psutil.STATUS_ZOMBIE or not words:
            continue
        {"service": parents, "child": children}.get(words[-1], []).append(process)
    return parents, children


def kill(whom: str) -> bool:
    """Kill at once, as a crash or a power cut would; say whether there was anybody."""
    parents, children = relay_processes()
    found = children if whom == "child" else parents + children
    for process in found:
        try:
            process.send_signal(signal.SIGKILL)
        except psutil.NoSuchProcess:
            continue
    return bool(found)


@pytest.mark.parametrize("whom", ["child", "relay"])
def test_no_message_is_lost_and_none_leaves_twice(site: Site, whom: str) -> None:
    dice = random.Random(whom)
    site.start()
    site.lab.steer(delay_ms=150)
    jobs = [f"job-{number:02d}" for number in range(ROUNDS)]
    killed = 0
    for job in jobs:
        site.fail(job)
        wait_until("a child", lambda: relay_processes()[1], 60)
        time.sleep(dice.uniform(0.0, 1.6))  # from Python's start to the proof, wherever that is now
        killed += kill(whom)
        if whom == "relay":
            wait_until("its end", lambda: not relay_processes()[0], 20)
            restarted = site.relay("start")
            assert "running" in restarted, restarted
    site.lab.steer()
    told = [site.message(job, *SETTLED, patience_s=150) for job in jobs]
    assert killed >= ROUNDS // 2
    left = Counter(site.left())
    assert not [one for one, times in left.items() if times > 1], "left the Outbox twice"
    by_smtp = {
        one.data.decode("utf-8", "replace").partition("Message-ID: ")[2].partition("\n")[0].strip()
        for one in site.smtp.messages
    }
    for one in told:
        arrived = one["message_id"] in left or one["message_id"] in by_smtp
        assert arrived, f"lost: {one}"
        if one["message_id"] in left and one["message_id"] in by_smtp:
            assert one["maybe_sent"], f"came twice without a word: {one}"


def test_the_service_is_killed_between_lease_and_receipt(site: Site) -> None:
    site.start()
    site.lab.steer(delay_ms=1000)
    for number in range(max(2, ROUNDS // 4)):
        job = f"job-{number}"
        site.fail(job)
        wait_until("a child", lambda: relay_processes()[1], 60)
        site.service.kill_and_start_again()
        sent = site.message(job, "sent", patience_s=120)
        assert Counter(site.left())[sent["message_id"]] == 1
