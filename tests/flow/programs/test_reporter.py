"""tocsin-report before a real service: the command is what it would be without it, byte by byte, and the service hears how it went."""

import os
import pty
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.support import curl
from tests.support.reporter import Reporter, reporter
from tests.support.sources import ROOT
from tests.support.tools import Heard, hearing

PRINT = "import os, sys; "
NOISE = PRINT + "os.write(1, bytes(range(256)) * 999); os.write(2, b'\\xff\\xfe\\x00err')"
COMMANDS = {
    "both outputs": ["sh", "-c", "echo out; echo err >&2"],
    "an exit code": ["sh", "-c", "echo partial; exit 3"],
    "no newline at the end": ["printf", "no newline"],
    "bytes that are no text": [sys.executable, "-c", NOISE],
    "what comes in": ["cat"],
    "only the beginning of what comes in": ["head", "-c", "3"],
    "nothing at all": ["true"],
    "killed from within": ["sh", "-c", "echo begun; kill -9 $$"],
    "terminated from within": ["sh", "-c", "echo begun; kill -TERM $$"],
    "its arguments": ["printf", "%s\\n", "--job", "x y", "", "é", "--"],
    "a crash": [sys.executable, "-c", "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)"],
}


@pytest.fixture(scope="module")
def heard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Heard]:
    with hearing(tmp_path_factory.mktemp("var")) as heard:
        yield heard


@pytest.fixture
def report(heard: Heard, tmp_path: Path) -> Reporter:
    return reporter(tmp_path, heard.running.url, heard.running.enrol_key)


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_output_and_exit_are_those_of_the_command_alone(report: Reporter, command: list[str]):
    piped_in = b"what comes in \x00\xff" * 1000
    alone = subprocess.run(command, input=piped_in, capture_output=True, check=False, timeout=60)
    reported = report("run", "--", *command, input=piped_in)
    assert (reported.returncode, reported.stdout, reported.stderr) == (alone.returncode, alone.stdout, alone.stderr)
    assert not report.waiting()


def test_a_shell_sees_128_and_the_signal(report: Reporter):
    line = " ".join(f"'{word}'" for word in report.command("run", "--", "sh", "-c", "kill -15 $$"))
    done = subprocess.run(["sh", "-c", line + "; echo $?"], env=report.environment, capture_output=True, check=True)
    assert done.stdout == b"143\n"


@pytest.mark.parametrize(("word", "code"), [("no-such-program", 127), ("/", 126), ("/etc/passwd", 126)])
def test_a_command_that_cannot_be_run_ends_as_in_a_shell(heard: Heard, report: Reporter, word: str, code: int):
    job = f"cannot run {word.strip('/')}"
    done = report("run", "--job", job, "--", word)
    assert done.returncode == code
    assert done.stderr.startswith(f"tocsin-report: {word}: ".encode())
    assert heard.job(job, "failed")


def test_a_script_without_a_first_line_runs_as_in_a_shell(report: Reporter, tmp_path: Path):
    script = tmp_path / "script"
    script.write_text("echo $1\n")
    script.chmod(0o755)
    assert report("run", "--", str(script), "here").stdout == b"here\n"


def test_a_run_is_reported_with_its_start_and_its_end(heard: Heard, report: Reporter):
    done = report("run", "--job", "failing", "--", "sh", "-c", "echo begins; sleep 0.3; echo broken >&2; exit 7")
    assert done.returncode == 7
    heard.job("failing", "failed")
    started, finished = sorted(heard.events("failing"), key=lambda one: one["occurred_at"])
    assert (started["phase"], started["outcome"]) == ("started", None)
    assert (finished["phase"], finished["outcome"], finished["run"]) == ("finished", "failure", started["run"])
    assert finished["message"] == "sh: exit code 7: broken"
    assert finished["log"] == "begins\nbroken\n"
    assert finished["metrics"]["exit_code"] == 7
    assert 0.3 <= finished["metrics"]["duration_s"] < 60
    assert finished["metrics"]["peak_memory_bytes"] > 100_000


def test_both_outputs_in_one_place_keep_their_order(report: Reporter, tmp_path: Path):
    script = "for i in $(seq 200); do echo out $i; echo err $i >&2; done"
    with (tmp_path / "both").open("wb") as both:
        assert report("run", "--", "sh", "-c", script, capture_output=False, stdout=both, stderr=both).returncode == 0
    alone = subprocess.run(["sh", "-c", script + " 2>&1"], capture_output=True, check=True)
    with_redirect = subprocess.run(["sh", "-c", f"exec 2>&1; {script}"], capture_output=True, check=True)
    assert (tmp_path / "both").read_bytes() == with_redirect.stdout
    assert len(alone.stdout) > 0


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1])
def test_signals_reach_the_command_once(report: Reporter, sign: signal.Signals):
    # os.write, because a print in the handler fails if the signal arrives within the other print.
    script = f"import os, signal, time\ndef heard(*_): os.write(1, b'heard\\n')\nsignal.signal({int(sign)}, heard)\n"
    script += "print('ready', flush=True)\nend = time.monotonic() + 1\nwhile time.monotonic() < end: time.sleep(0.05)"
    process = report.start("run", "--", sys.executable, "-c", script, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    process.send_signal(sign)
    out, err = process.communicate(timeout=60)
    assert (out, err, process.returncode) == (b"heard\n", b"", 0)


def test_the_reporter_ends_by_the_signal_that_ended_the_command(heard: Heard, report: Reporter):
    process = report.start(
        "run", "--job", "stopped", "--", "sh", "-c", "echo ready; exec sleep 60", stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    process.terminate()
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGTERM
    heard.job("stopped", "failed")


def test_a_terminal_stays_a_terminal_and_its_keys_reach_the_command_once(heard: Heard, report: Reporter):
    script = "import os, signal, time\nsignal.signal(2, lambda *_: os.write(1, b'interrupted\\n'))\n"
    script += "print(os.isatty(0), os.isatty(1), os.isatty(2), flush=True)\nend = time.monotonic() + 2\n"
    script += "while time.monotonic() < end: time.sleep(0.05)\nraise SystemExit(130)"
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(
            sys.executable,
            report.command("run", "--job", "at a terminal", "--", sys.executable, "-c", script),
            report.environment,
        )
    seen = b""
    while b"True True True" not in seen:
        seen += os.read(terminal, 1024)
    os.write(terminal, b"\x03")
    try:
        while piece := os.read(terminal, 1024):
            seen += piece
    except OSError:
        pass  # Linux says so at the end of a terminal
    os.close(terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 130
    assert seen.count(b"interrupted") == 1
    [finished] = [event for event in heard.events("at a terminal") if event["phase"] == "finished"]
    assert finished["outcome"] == "cancelled"


def test_a_reader_that_goes_away_ends_the_command_as_ever(report: Reporter):
    line = " ".join(f"'{word}'" for word in report.command("run", "--quiet", "--", "yes"))
    done = subprocess.run(
        ["bash", "-c", f"{line} | head -1; echo ${{PIPESTATUS[0]}}"], env=report.environment, capture_output=True, timeout=60, check=True,
    )  # fmt: skip
    assert done.stdout == b"y\n141\n"


@pytest.mark.slow
def test_a_background_child_that_holds_the_output_is_not_waited_for(heard: Heard, report: Reporter, tmp_path: Path):
    with (tmp_path / "out").open("wb") as out:
        started = time.monotonic()
        done = report(
            "run", "--job", "background", "--", "sh", "-c", "(sleep 16; echo late) & echo done",
            capture_output=False, stdout=out, stderr=out,
        )  # fmt: skip
        took = time.monotonic() - started
    assert done.returncode == 0
    assert took < 13
    heard.job("background", "ok")
    assert (tmp_path / "out").read_bytes() == b"done\n"
    end = time.monotonic() + 60
    while (tmp_path / "out").read_bytes() != b"done\nlate\n":
        assert time.monotonic() < end, "what it printed later is lost"
        time.sleep(0.2)


def memory_of(pid: int) -> dict[int, int]:
    """Return what the reporter's own processes have used at most, in KiB."""
    found = {}
    for one in (psutil.Process(pid), *psutil.Process(pid).children()):
        if any(word.endswith(".pyz") for word in one.cmdline()):
            status = Path(f"/proc/{one.pid}/status").read_text()
            found[one.pid] = int(re.findall(r"VmHWM:\s+(\d+) kB", status)[0])
    return found


def test_a_hundred_megabytes_pass_in_bounded_memory(heard: Heard, report: Reporter):
    script = "import sys\nline = b'x' * 99 + b'\\n'\nfor i in range(1000): sys.stdout.buffer.write(line * 1000)\nprint('the end')"
    size, most = 0, {}
    with report.start("run", "--job", "huge", "--", sys.executable, "-c", script, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        while piece := process.stdout.read(1024 * 1024):
            size += len(piece)
            if size > 90_000_000 and not most:
                most = memory_of(process.pid)
    assert (process.returncode, size) == (0, 100_000_008)
    assert len(most) == 2, "the reporter and the keeper"
    assert max(most.values()) < 64 * 1024, "KiB"
    heard.job("huge", "ok")
    [finished] = [event for event in heard.events("huge") if event["phase"] == "finished"]
    assert len(finished["log"]) <= 65536
    assert finished["log"].startswith("xxx")
    assert finished["log"].endswith("the end\n")
    assert "bytes left out" in finished["log"]


def test_a_script_sends_events_of_its_own(heard: Heard, report: Reporter, tmp_path: Path):
    (tmp_path / "log").write_bytes(b"broken \xff\n")
    words = ["--job", "db", "--outcome", "failure", "-m", "disk \u2603 full", "--metric", "bytes_processed=12"]
    done = report(
        "send",
        *words,
        "--label",
        "site=berlin",
        "--log",
        str(tmp_path / "log"),
        "--run",
        "r1",
        "--severity",
        "critical",
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    heard.job("db", "failed")
    [event] = heard.events("db")
    assert (event["message"], event["severity"], event["run"]) == ("disk \u2603 full", "critical", "r1")
    assert (event["metrics"], event["labels"]) == ({"bytes_processed": 12}, {"site": "berlin"})
    assert event["log"] == "broken \ufffd\n"


def test_an_agent_s_own_key_needs_no_name(heard: Heard, report: Reporter):
    report.settings["TOCSIN_REPORT_KEY"] = heard.key("tocsin")
    assert report("send", "--job", "own key", "--outcome", "failure").stderr == b""
    heard.job("own key", "failed")
    report.settings["TOCSIN_REPORT_KEY"] = heard.key("token")  # not recognisable by its prefix: the service reports it
    assert report("send", "--job", "own token", "--outcome", "failure").stderr == b""
    heard.job("own token", "failed")


def test_the_command_lines_of_the_documentation_work(heard: Heard, tmp_path: Path):
    page = (ROOT / "docs/tools/tocsin-report.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```\n(.*?)^```$", page, flags=re.MULTILINE | re.DOTALL)
    assert len(blocks) == 2
    trial = re.search("Test it: `(.*?)`", page)
    assert trial is not None
    script = "\n".join(["set -eux", *blocks, trial[1] + " || test $? = 1"])
    script = script.replace("http://tocsin:8000", heard.running.url).replace("<key>", heard.running.enrol_key)
    for name in ("bin", "etc"):
        (tmp_path / name).mkdir()
    script = script.replace("/usr/local/bin", str(tmp_path / "bin")).replace("/etc/", f"{tmp_path}/etc/")
    environment = {
        "PATH": f"{tmp_path / 'bin'}:{curl.on_path(tmp_path / 'curl')}{os.environ['PATH']}",
        "TOCSIN_REPORT_CONFIG": str(tmp_path / "etc/tocsin-report.conf"),
        "TOCSIN_REPORT_SPOOL": str(tmp_path / "spool"),
    }
    done = subprocess.run(
        ["bash"], input=script, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert f"{heard.running.url} accepted it" in done.stdout
    heard.job("photos", "failed")
    heard.job("db", "failed")


def test_where_no_second_process_can_be_had_the_command_runs_all_the_same(
    heard: Heard, report: Reporter, tmp_path: Path
):
    (tmp_path / "sitecustomize.py").write_text(
        "import os\ndef fork(): raise BlockingIOError(11, 'no more processes')\nos.fork = fork\n"
    )
    report.settings["PYTHONPATH"] = str(tmp_path)
    done = report("run", "--job", "alone", "--", "sh", "-c", "echo out; echo err >&2; exit 3")
    assert (done.returncode, done.stdout, done.stderr) == (3, b"out\n", b"err\n")
    heard.job("alone", "failed")
