"""Child, relay and service killed at every phase: no message is lost, and none leaves the Outbox twice by our doing.

The mail client holds each message at the moment in question, so that the kill hits it there however slow this machine is.
A message that may have left and cannot be found any more is the one thing that may go out again, by SMTP, and says so.
"""

import contextlib
import os
import signal
from collections import Counter
from itertools import cycle, islice

import psutil
import pytest

from tests.support.running import wait_until
from tests.windows.lab import windows_path
from tests.windows.site import Site

MOMENTS = ("logon", "create", "save", "submit", "submitted", "outbox", "sent")
ROUNDS = (
    20 if os.environ.get("WINDOWS_KILLS") else 0
)  # else each moment once for the child, every other one for the rest
SETTLED = ("sent", "moved", "dead")


def relay_processes(site: Site) -> tuple[list[psutil.Process], list[psutil.Process]]:
    """Return the processes of the relay itself, and those of its children, as this system sees them."""
    ours = windows_path(site.lab.folder)  # those of another checkout may run next to them
    parents, children = [], []
    for process in psutil.process_iter(["name", "cmdline", "status"]):
        words = [word for word in process.info["cmdline"] or [] if word]
        if process.info["name"] != "python.exe" or process.info["status"] == psutil.STATUS_ZOMBIE or not words:
            continue
        if not words[0].startswith(ours):
            continue
        {"service": parents, "child": children}.get(words[-1], []).append(process)
    return parents, children


def kill(site: Site, whom: str) -> None:
    """Kill at once, as a crash or a power cut would, and let the mail client go on."""
    parents, children = relay_processes(site)
    if whom == "service":
        site.service.kill_and_start_again()
    victims = {"child": children, "relay": parents + children, "service": []}[whom]
    assert victims or whom == "service", "nobody to kill, though a child was held"
    for process in victims:
        with contextlib.suppress(psutil.NoSuchProcess):  # a child that ended with its parent
            process.send_signal(signal.SIGKILL)
    if whom == "relay":
        wait_until("its end", lambda: not relay_processes(site)[0], 60)
    site.lab.steer(delay_ms=150)
    if whom == "relay":
        restarted = site.relay("start")
        assert "running" in restarted, restarted


def killed_at(site: Site, whom: str, moment: str, job: str) -> None:
    """Fail a job, wait until a child is at `moment`, and kill."""
    before = site.lab.held(moment)
    site.lab.steer(hold=moment, delay_ms=150)
    site.fail(job)
    wait_until(f"{job} held at {moment}", lambda: site.lab.held(moment) > before, 120)
    kill(site, whom)


@pytest.mark.parametrize("whom", ["child", "relay", "service"])
def test_no_message_is_lost_and_none_leaves_twice(site: Site, whom: str) -> None:
    site.one_mail_each()
    site.start()
    few = MOMENTS if whom == "child" else MOMENTS[::2]
    moments = islice(cycle(MOMENTS), ROUNDS) if ROUNDS else few
    rounds = [(f"job-{number:02d}", moment) for number, moment in enumerate(moments)]
    for job, moment in rounds:
        killed_at(site, whom, moment, job)
    reported = [(moment, site.message(job, *SETTLED, patience_s=240)) for job, moment in rounds]
    left = Counter(site.left())
    assert not [one for one, times in left.items() if times > 1], "left the Outbox twice"
    by_smtp = {_message_id(one.data) for one in site.smtp.messages}
    for moment, one in reported:
        assert one["message_id"] in left or one["message_id"] in by_smtp, f"lost at {moment}: {one}"
        if one["message_id"] in left and one["message_id"] in by_smtp:
            assert one["maybe_sent"], f"came twice without a word: {one}"
        if whom == "child":  # the relay itself lives on, and always finds out
            ends = [attempt["outcome"] for attempt in one["tries"]]
            assert (one["state"], ends[-1], set(ends[:-1]) <= {"temporary"}) == ("sent", "sent", True), one


def _message_id(mail: bytes) -> str:
    return mail.decode("utf-8", "replace").partition("Message-ID: ")[2].partition("\n")[0].strip()
