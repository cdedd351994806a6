"""tocsin-report killed at every moment, before a real service: the command continues, no outcome is lost, none is reported twice."""

import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import psutil
import pytest

from tests.support.processes import GONE_S
from tests.support.reporter import Reporter, reporter
from tests.support.running import wait_until
from tests.support.tools import Heard, hearing

pytestmark = pytest.mark.slow

ROUNDS = 36
LAST_S = 0.9  # by then a run of the command below has ended and is reported, on a quiet machine


@pytest.fixture(scope="module")
def heard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Heard]:
    with hearing(tmp_path_factory.mktemp("var")) as heard:
        yield heard


@pytest.fixture
def report(heard: Heard, tmp_path: Path) -> Reporter:
    return reporter(tmp_path, heard.running.url, heard.running.enrol_key)


def settle(report: Reporter) -> None:
    """Flush until nothing waits and no run is under way: the keepers of the killed may still be at work."""

    def look() -> bool:
        done = report("flush")
        return done.returncode == 0 and not list((report.spool / "running").glob("*.json"))

    wait_until("an empty spool", look, 60)


def ends(heard: Heard, job: str) -> Sequence[dict]:
    return [event for event in heard.events(job) if event["phase"] == "finished"]


def test_killed_at_any_moment_the_command_continues_and_its_outcome_is_reported_once(
    heard: Heard, report: Reporter, tmp_path: Path
):
    outcomes = []
    for turn in range(ROUNDS):
        begun, done = tmp_path / f"begun {turn}", tmp_path / f"done {turn}"
        script = 'echo begun > "$1"; sleep 0.2; echo it prints; echo done > "$2"; exit 3'
        words = ["run", "--job", f"round {turn}", "--", "sh", "-c", script, "sh", str(begun), str(done)]
        with report.start(*words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
            time.sleep(LAST_S * turn / ROUNDS)
            process.kill()
            printed = process.stdout.read() if process.stdout is not None else b""  # to the end of the command
        if begun.exists():
            wait_until("the end of the command", done.exists)
            assert printed == b"it prints\n"
        settle(report)
        reported = ends(heard, f"round {turn}")
        assert len(reported) == begun.exists() or (len(reported) == 1 and reported[0]["outcome"] == "warning")
        outcomes += [event["outcome"] for event in reported]
    assert set(outcomes) <= {"warning", "failure"}
    assert "warning" in outcomes, "no kill came before the outcome was known"


def test_the_last_output_of_a_command_is_reported_although_the_reporter_is_gone(heard: Heard, report: Reporter):
    words = ["run", "--job", "orphan", "--", "sh", "-c", "echo ready; sleep 1; echo last words"]
    with report.start(*words, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        process.kill()
        assert process.stdout.read() == b"last words\n"
    heard.job("orphan", "warning")  # without any further call
    [event] = ends(heard, "orphan")
    assert event["log"] == "ready\nlast words\n"
    assert "was killed" in event["message"]


def test_a_run_that_was_killed_with_reporter_and_keeper_is_reported_by_the_next_call(heard: Heard, report: Reporter):
    words = ["run", "--job", "power cut", "--", "sh", "-c", "echo ready; sleep 60"]
    with report.start(*words, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        family = psutil.Process(process.pid).children(recursive=True)
        for one in [psutil.Process(process.pid), *family]:
            one.suspend()  # so that none can tell of the others
        for one in [*family, psutil.Process(process.pid)]:
            one.kill()
    psutil.wait_procs(family, GONE_S)
    assert list((report.spool / "running").glob("*.json"))
    assert report("send", "--job", "another", "--outcome", "success").returncode == 0
    heard.job("power cut", "warning")
    [event] = ends(heard, "power cut")
    assert "was killed while sh ran" in event["message"]


def test_a_running_command_is_not_mistaken_for_one_that_was_cut_off(heard: Heard, report: Reporter):
    with report.start("run", "--job", "long", "--", "sh", "-c", "echo ready; read -r _", stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        for _ in range(3):
            assert report("flush").returncode == 0
        process.communicate(b"go on\n", timeout=60)
    heard.job("long", "ok")
    assert [event["outcome"] for event in ends(heard, "long")] == ["success"]


def test_many_reporters_at_once_send_each_event_exactly_once(heard: Heard, report: Reporter):
    away = Reporter(report.program, report.spool, {**report.settings, "TOCSIN_REPORT_URL": "http://127.0.0.1:9"})
    for number in range(8):
        away("send", "--job", f"crowd {number}", "--outcome", "failure", "--quiet")
    assert len(report.waiting()) == 8
    crowd = [report.start("send", "--job", f"more {number}", "--outcome", "success") for number in range(6)]
    crowd += [report.start("flush", stdout=subprocess.DEVNULL) for _ in range(3)]
    for one in crowd:
        one.wait(60)
    settle(report)
    for job in [f"crowd {number}" for number in range(8)] + [f"more {number}" for number in range(6)]:
        assert len(heard.events(job)) == 1
