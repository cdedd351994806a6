"""A forked command behaves as one that was started from nothing: its own folder, environment, output, exit code and end by a signal."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import preloaded
from tests.support.running import environment

THIS_FILE = "tests.unit.support.test_preloaded"


@pytest.fixture(params=[True, False], ids=["forked", "from nothing"])
def _both_ways(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preloaded, "is_used", request.param)


@pytest.mark.usefixtures("_both_ways")
def test_a_command_ends_with_its_own_output_and_code(tmp_path: Path) -> None:
    shown = preloaded.run(["-m", THIS_FILE, "a", "b"], tmp_path, environment(var_dir="elsewhere"))
    assert (shown.returncode, shown.stderr) == (3, "wrong\n")
    assert shown.stdout.splitlines() == [str(tmp_path), "elsewhere", "a b", ""]


@pytest.mark.usefixtures("_both_ways")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_command_runs_until_a_signal_ends_it(tmp_path: Path, number: int) -> None:
    with (tmp_path / "out").open("wb") as out:
        process = preloaded.start(["-m", THIS_FILE], tmp_path, environment(), out, out)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.1)
    assert process.poll() is None
    process.send_signal(number)
    assert process.wait(30) == -number
    assert process.poll() == -number
    process.kill()  # is no harm


if __name__ == "__main__":
    if not sys.argv[1:]:
        signal.pause()
    print(Path.cwd(), os.environ["TOCSIN_VAR_DIR"], " ".join(sys.argv[1:]), sys.stdin.read(), sep="\n")  # noqa: T201
    print("wrong", file=sys.stderr)  # noqa: T201
    sys.exit(3)
