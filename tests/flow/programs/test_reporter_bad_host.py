"""tocsin-report without room on the disk, with settings that cannot be used, under a clock that jumps: the command is as ever, no outcome is lost."""

import json
import re
import resource
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.reporter import NOWHERE, Reporter, ended, reporter, runs_as_ever
from tests.support.running import Running, serving


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with serving(tmp_path_factory.mktemp("var")) as running:
        yield running


@pytest.fixture
def report(running: Running, tmp_path: Path) -> Reporter:
    return reporter(tmp_path, running.url, running.enrol_key)


def limited(size: int):
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def test_a_full_disk_takes_the_outcome_yet_if_not_its_log(running: Running, report: Reporter):
    """No file may grow beyond what the record of a run has: as if the backup had filled the disk meanwhile."""
    report.settings["TOCSIN_REPORT_URL"] = NOWHERE
    script = "for i in $(seq 2000); do echo some long line of the log; done; exit 5"
    done = report("run", "--job", "full", "--", "sh", "-c", script, preexec_fn=limited(10_000))
    assert (done.returncode, done.stdout) == (5, b"some long line of the log\n" * 2000)
    report.settings["TOCSIN_REPORT_URL"] = running.url
    assert report("flush").returncode == 0
    assert ended(running, "full") == ["failure"]


@pytest.mark.slow
@pytest.mark.parametrize("size", [0, 100])
def test_where_nothing_can_be_written_the_outcome_is_sent_at_once(running: Running, report: Reporter, size: int):
    assert runs_as_ever(report, f"no room {size}", preexec_fn=limited(size)) == []
    assert ended(running, f"no room {size}") == ["failure"]
    report.settings["TOCSIN_REPORT_URL"] = NOWHERE
    [words] = runs_as_ever(report, f"no room {size} nor service", preexec_fn=limited(size))
    assert "could neither be stored nor sent" in words


@pytest.mark.needs("root:mount")
def test_a_disk_that_the_backup_itself_fills(running: Running, report: Reporter, tmp_path: Path):
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=128k", "none", disk], capture_output=True, check=True)
    try:
        report.settings.update(TOCSIN_REPORT_URL=NOWHERE, TOCSIN_REPORT_SPOOL=str(disk / "spool"))
        script = f"for i in $(seq 2000); do echo some long line; done; head -c 1000000 /dev/zero > {disk}/dump; exit 5"
        assert report("run", "--job", "fills it", "--quiet", "--", "sh", "-c", script).returncode == 5
        report.settings["TOCSIN_REPORT_URL"] = running.url
        assert report("flush").returncode == 0
        assert ended(running, "fills it") == ["failure"]
    finally:
        subprocess.run(["umount", disk], check=True)


def test_an_event_of_a_script_that_used_the_last_room_is_stored_with_one_line_on_stderr(report: Reporter):
    """Not even the lock that a sender takes can be made; a file in its way is as good as no room, and needs no mount."""
    (report.spool / "lock").mkdir(parents=True)
    done = report("send", "--job", "last room", "--outcome", "failure")
    assert (done.returncode, len(report.waiting())) == (0, 1)
    [line] = done.stderr.splitlines()
    assert line.startswith(b"tocsin-report: it is stored, and could not be sent: ")
    assert report("send", "--job", "last room", "--outcome", "failure", "--quiet").stderr == b""


def test_without_a_place_for_the_spool_the_outcome_is_sent_at_once(running: Running, report: Reporter, tmp_path: Path):
    (tmp_path / "a file").touch()
    report.settings["TOCSIN_REPORT_SPOOL"] = str(tmp_path / "a file" / "spool")
    assert runs_as_ever(report, "no place") == []
    assert ended(running, "no place") == ["failure"]


SETTINGS = {
    "no address": {"TOCSIN_REPORT_URL": ""},
    "no address at all": {"TOCSIN_REPORT_URL": "tocsin.example.org"},
    "a port that is none": {"TOCSIN_REPORT_URL": "http://tocsin.example.org:port"},
    "no key": {"TOCSIN_REPORT_KEY": ""},
    "a key with a line end": {"TOCSIN_REPORT_KEY": "one\ntwo"},
    "no key file": {"TOCSIN_REPORT_KEY": "", "TOCSIN_REPORT_KEY_FILE": "/no/such/file"},
    "no certificate authority": {"TOCSIN_REPORT_URL": "https://127.0.0.1:9", "TOCSIN_REPORT_CA_FILE": "/no/such/file"},
    "no home": {"HOME": "/no/such/home", "TOCSIN_REPORT_URL": NOWHERE},
}  # fmt: skip


@pytest.mark.parametrize("name", SETTINGS)
def test_unusable_settings_are_reported_and_the_outcome_is_stored(report: Reporter, name: str):
    report.settings.update(SETTINGS[name])
    [words] = runs_as_ever(report, name)
    assert not re.search("one|two|an-enrol-key", words.partition("tocsin-report: ")[2]), "the key is never shown"
    assert len(report.waiting()) == 2


def test_a_clock_that_is_set_back_loses_nothing(running: Running, report: Reporter, tmp_path: Path):
    (tmp_path / "sitecustomize.py").write_text(
        "import datetime, time\nreal, at, ns = datetime.datetime, datetime.timedelta(hours=-1), time.time_ns\n"
        "class Back(real):\n    now = classmethod(lambda cls, tz=None: real.now(tz) + at)\n"
        "datetime.datetime, time.time_ns = Back, lambda: ns() - 3600 * 10**9\n"
    )
    report.settings["TOCSIN_REPORT_URL"] = NOWHERE
    runs_as_ever(report, "clock")
    report.settings["PYTHONPATH"] = str(tmp_path)
    runs_as_ever(report, "clock again")
    order = [json.loads(path.read_bytes().strip().split(b"\n")[-1])["job"] for path in report.waiting()]
    assert order == ["clock", "clock", "clock again", "clock again"]
    report.settings["TOCSIN_REPORT_URL"] = running.url
    assert report("flush").returncode == 0
    assert [ended(running, job) for job in ("clock", "clock again")] == [["failure"], ["failure"]]
