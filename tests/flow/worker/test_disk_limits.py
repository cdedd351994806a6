"""A limit of the size of files, or a quota, that a running service reaches is named everywhere as what it is, and is over when it is lifted."""

import resource
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from tests.flow.worker.test_full_disk import database_check, post
from tests.support.running import CLIENT, LOG, SQLITE_FILE, Running, serving, wait_until

pytestmark = pytest.mark.slow


def refused(service: Running) -> tuple[int, str | None]:
    """Post until something is refused; return that answer."""
    for number in range(400):
        answer = post(service, f"{number}", "failure")
        if answer[0] != 202:
            return answer
    return 0, None


def check_named(service: Running, code: str, words: str) -> None:
    """Fail unless the answer, /readyz, log, doctor and metrics name the trouble."""
    assert refused(service) == (503, code)
    status, check = database_check(service)
    assert (status, check["status"], check["code"]) == (503, "failed", code)
    assert words in check["detail"]
    doctor = service.tocsin("doctor")
    assert words in doctor.stdout, (doctor.stdout, database_check(service))
    metrics = CLIENT.get(f"{service.url}/metrics").text
    assert f'tocsin_write_failures_total{{reason="{code}"}}' in metrics
    assert "tocsin_database_writable 0.0" in metrics
    log = (service.folder / LOG).read_text()
    assert words in log
    assert "Traceback" not in log


def check_over(service: Running) -> None:
    """Fail unless the service goes on by itself and lost nothing that it accepted."""
    wait_until("it is ready again", lambda: database_check(service)[0] == 200, 60)
    assert post(service, "after", "success")[0] == 202
    assert {"0", "after"} <= {event["key"] for event in service.ask("/v1/events", limit="200")["items"]}


def test_the_largest_size_of_a_file_is_named(tmp_path: Path) -> None:
    with serving(tmp_path / "var") as service:
        assert post(service, "0", "failure")[0] == 202
        server = psutil.Process(service.processes[-1].pid)
        files = (tmp_path / "var").glob(f"{SQLITE_FILE}*")
        server.rlimit(psutil.RLIMIT_FSIZE, (max(file.stat().st_size for file in files), resource.RLIM_INFINITY))
        check_named(service, "file_size_limit", "files have reached the largest size that is allowed")
        server.rlimit(psutil.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        check_over(service)


@contextmanager
def quota_used_up(pid: int) -> Iterator[None]:
    """Let the kernel answer EDQUOT to each write of a process to its database, and to each fsync, as where a quota is used up."""
    calls = "pwrite64,fsync,fdatasync,fallocate"
    strace = subprocess.Popen(
        [
            "strace",
            "-f",
            "-q",
            "-o",
            "/dev/null",
            "-e",
            f"trace={calls}",
            "-e",
            f"inject={calls}:error=EDQUOT",
            "-p",
            str(pid),
        ],
    )
    try:
        wait_until("strace", lambda: psutil.Process(pid).status() and _is_traced(pid))
        yield
    finally:
        strace.terminate()
        strace.wait(20)


def _is_traced(pid: int) -> bool:
    return "TracerPid:\t0\n" not in Path(f"/proc/{pid}/status").read_text()


@pytest.mark.needs("strace")
def test_a_quota_is_named(tmp_path: Path) -> None:
    with serving(tmp_path / "var") as service:
        assert post(service, "0", "failure")[0] == 202
        with quota_used_up(service.processes[-1].pid):
            check_named(service, "disk_quota_reached", "the disk quota is used up")
        check_over(service)
