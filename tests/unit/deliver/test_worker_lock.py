"""A worker that died is known by its free lock, and one that lives is never taken for dead."""

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from app.deliver.worker_lock import MOST, worker_locks

HOST = "worker:host-a:"
KERNEL = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
HOLD = """
import sys, time
from pathlib import Path
from app.deliver.worker_lock import worker_locks
with worker_locks(Path(sys.argv[1]), "worker:") as locks:
    locks.keep_one(sys.argv[2])
    print("held", flush=True)
    time.sleep(600)
"""


def hold(folder: Path, name: str) -> subprocess.Popen[bytes]:
    """Start a process that holds a lock under a name."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(folder), name], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"held\n"
    return process


def dead(folder: Path) -> list[str]:
    with worker_locks(folder, HOST) as locks:
        return locks.dead


def test_only_a_killed_worker_is_dead(tmp_path: Path) -> None:
    workers = [hold(tmp_path, f"{HOST}{number}:aa") for number in range(3)]
    try:
        assert dead(tmp_path) == []
        os.kill(workers[1].pid, signal.SIGSTOP)
        assert dead(tmp_path) == [], "a process that is suspended may go on to send"
        os.kill(workers[1].pid, signal.SIGKILL)
        workers[1].wait()
        with worker_locks(tmp_path, HOST) as locks:
            assert locks.dead == [f"{HOST}1:aa"]
            assert dead(tmp_path) == [], "another worker took it over"
            locks.keep_one(f"{HOST}4:bb")
        assert dead(tmp_path) == [f"{HOST}4:bb"]
    finally:
        for worker in workers:
            with suppress(ProcessLookupError):
                worker.kill()
            worker.communicate()


@pytest.mark.parametrize(
    ("content", "names"),
    [
        (f"worker:host-a:7:aa {KERNEL}\n", ["worker:host-a:7:aa"]),
        (f"worker:host-b:7:aa {KERNEL}\n", []),  # a shared folder, whose locks we may not see
        (
            "worker:host-a:7:aa 0b5c2f3e-0000-4000-8000-000000000000\n",
            [],
        ),  # another host, or container, of the same name
        ("worker:host-a:7:aa \n", []),
        ("worker:host-a:7:aa\n", []),
        ("worker:host-a:7", []),  # not whole: other names may begin so
        (f"worker:host-a:7:aa {KERNEL}", []),
        (f" {KERNEL}\n", []),
        ("", []),
        ("\n", []),
        (f"worker:host-a:7:aa {KERNEL}\nworker:host-a:8:bb {KERNEL}\n", []),
        ("worker:host-a:" + "7" * 10_000 + f" {KERNEL}\n", []),
        ("\udcff\n", []),
    ],
)
def test_only_a_whole_name_of_this_host_and_kernel_counts(tmp_path: Path, content: str, names: list[str]) -> None:
    (tmp_path / "worker-0.lock").write_bytes(content.encode("utf-8", "surrogateescape"))
    assert dead(tmp_path) == names


def test_a_worker_keeps_one_lock_and_frees_the_others(tmp_path: Path) -> None:
    for number in range(4):
        (tmp_path / f"worker-{number}.lock").write_text(f"{HOST}{number}:aa {KERNEL}\n")
    with worker_locks(tmp_path, HOST) as locks:
        assert len(locks.dead) == 4
        locks.keep_one(f"{HOST}9:cc")
        assert dead(tmp_path) == []
    assert dead(tmp_path) == [f"{HOST}9:cc"]


def test_there_are_no_more_files_than_the_most_workers(tmp_path: Path) -> None:
    held = [worker_locks(tmp_path, HOST) for _ in range(MOST + 2)]
    for one in held:
        one.__enter__().keep_one(f"{HOST}1:aa")
    assert len(list(tmp_path.iterdir())) == MOST
    for one in held:
        one.__exit__(None, None, None)


def test_a_folder_that_cannot_be_made_locks_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert dead(tmp_path / "file" / "workers") == []


def test_a_name_that_cannot_be_written_stops_no_worker(tmp_path: Path) -> None:
    (tmp_path / "worker-0.lock").write_text(f"{HOST}1:aa {KERNEL}\n")
    worker = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))" + HOLD.replace("time.sleep(600)", "")
    run = subprocess.run([sys.executable, "-c", worker, str(tmp_path), f"{HOST}2:bb"], capture_output=True, check=False)
    assert run.stdout.endswith(b"held\n"), run.stderr.decode()
    assert dead(tmp_path) == [], "nobody knows whose lock it was"
