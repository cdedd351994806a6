"""tocsin-report on a Windows backup host, before a real service: the exit code is the command's, and the service hears of it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.core.pyz import write
from tests.support.tools import Heard, hearing
from tests.windows.lab import Lab, windows_path

NOWHERE = "http://127.0.0.1:9"
# Its Python starts the reporter as a user would and writes down what came back, byte by byte: Wine once lost what it printed.
ASK = """
import pathlib, subprocess, sys
done = subprocess.run(sys.argv[2:], capture_output=True)
pathlib.Path(sys.argv[1]).write_text(f"{done.returncode} {done.stdout} {done.stderr}")
"""


@pytest.fixture(scope="module")
def heard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Heard]:
    with hearing(tmp_path_factory.mktemp("var")) as heard:
        yield heard


def test_a_command_runs_unchanged_and_is_reported_now_or_later(lab: Lab, heard: Heard, tmp_path: Path):
    program = windows_path(write("reporter", tmp_path / "a folder"))
    settings = {
        "TOCSIN_REPORT_KEY": heard.running.enrol_key,
        "TOCSIN_REPORT_SPOOL": windows_path(tmp_path / "spool"),
        "TOCSIN_REPORT_URL": heard.running.url,
    }
    python = windows_path(lab.folder / "python/python.exe")

    def ask(*words: str, **more: str) -> str:
        answer = tmp_path / "answer"
        output = lab.python("-c", ASK, windows_path(answer), python, program, *words, **{**settings, **more})
        assert answer.exists(), f"Windows' Python wrote nothing, and output: {output!r}"
        return answer.rename(tmp_path / "read").read_text()

    script = "import sys; sys.stdout.buffer.write(bytes(range(1, 15))); sys.stderr.write('err'); import time; time.sleep(1.5); sys.exit(5)"
    printed = str(bytes(range(1, 15)))
    assert ask("run", "--job", "failing", "--", python, "-c", script) == f"5 {printed} b'err'"
    heard.job("failing", "failed")
    [event] = [event for event in heard.events("failing") if event["phase"] == "finished"]
    assert event["metrics"]["exit_code"] == 5
    assert event["metrics"]["peak_memory_bytes"] > 1_000_000
    assert "err" in event["log"]  # which of the two pipes is read first is anybody's guess

    assert ask("run", "--", "cmd", "/c", "exit 0") == "0 b'' b''"
    assert ask("run", "--", "no-such-program").startswith("127 b'' b'tocsin-report: no-such-program: not found")

    words = ["run", "--quiet", "--job", "later", "--", python, "-c", "import os; os._exit(-1073741819)"]
    assert ask(*words, TOCSIN_REPORT_URL=NOWHERE) == f"{0xC0000005} b'' b''"
    assert ask("flush") == "0 b'2 sent, 0 still waiting\\r\\n' b''"
    heard.job("later", "failed")
