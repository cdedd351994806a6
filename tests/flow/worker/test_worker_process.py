"""On PostgreSQL `tocsin serve` runs its worker as a process of its own: whichever of them is killed, nothing is lost and nothing stays."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.support.running import CLIENT, LOG, Running, serving, wait_until

BACK_S = 60  # on any machine; it takes about a second


@pytest.fixture
def service(postgres_database_url: str, tmp_path: Path) -> Iterator[Running]:
    """A running `tocsin serve` on PostgreSQL whose worker works."""
    with serving(tmp_path, TOCSIN_DATABASE_URL=postgres_database_url) as running:
        wait_until("the worker", lambda: _ready(running)["status"] == "ok")
        yield running


def _ready(service: Running) -> dict:
    return CLIENT.get(f"{service.url}/readyz").json()


def _processes(service: Running) -> tuple[psutil.Process, psutil.Process]:
    """Return the process that starts workers, and the worker."""
    (starter,) = psutil.Process(service.processes[-1].pid).children()
    (worker,) = wait_until("the worker's process", starter.children)
    return starter, worker


def _report(service: Running, job: str) -> None:
    event = {"agent": "db1", "job": job, "outcome": "failure", "message": "disk full"}
    CLIENT.post(
        f"{service.url}/v1/events", json=event, headers={"Authorization": f"Bearer {service.enrol_key}"}
    ).raise_for_status()


def _wait_until_decided(service: Running, *jobs: str) -> None:
    wait_until(
        "the alerts",
        lambda: set(jobs) <= {one["name"] for one in service.ask("/v1/jobs")["items"] if one["state"] == "failed"},
        BACK_S,
    )


def _restarts(service: Running) -> str:
    text = CLIENT.get(f"{service.url}/metrics").text
    return next(line for line in text.splitlines() if line.startswith("tocsin_worker_restarts_total")).split()[1]


def test_a_killed_worker_is_back_within_seconds_and_decides_what_came_meanwhile(service: Running):
    _report(service, "before")
    _wait_until_decided(service, "before")
    assert _restarts(service) == "0.0"
    _, worker = _processes(service)
    worker.send_signal(signal.SIGSTOP)
    _report(service, "in-its-hands")
    worker.kill()
    _report(service, "meanwhile")
    _wait_until_decided(service, "before", "in-its-hands", "meanwhile")
    _, next_one = _processes(service)
    assert next_one.pid != worker.pid
    ready = _ready(service)
    (check,) = [check for check in ready["checks"] if check["name"] == "worker"]
    assert (ready["status"], check["status"]) == ("warning", "warning"), "whoever watches it learns of the restart"
    assert "WorkerEnded, see the log" in check["detail"]
    assert _restarts(service) == "1.0"
    assert f"process {worker.pid}: signal 9" in (service.folder / LOG).read_text()


def test_no_process_is_left_of_a_killed_server_and_its_port_is_free(service: Running):
    family = _processes(service)
    os.kill(service.processes[-1].pid, signal.SIGKILL)
    service.processes[-1].wait(5)
    psutil.wait_procs(family, BACK_S)
    assert not [one for one in family if one.is_running() and one.status() != psutil.STATUS_ZOMBIE]
    service.kill_and_start_again()
    _report(service, "after")
    _wait_until_decided(service, "after")


def test_the_worker_goes_on_in_the_server_when_the_process_that_starts_it_is_killed(service: Running):
    starter, worker = _processes(service)
    starter.kill()
    _report(service, "after")
    _wait_until_decided(service, "after")
    psutil.wait_procs([worker], BACK_S)
    assert not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE
    assert "the worker runs in the server" in wait_until(
        "the log", lambda: _log_with(service, "the worker runs in the server")
    )


def _log_with(service: Running, words: str) -> str | None:
    text = (service.folder / LOG).read_text()
    return text if words in text else None


def test_a_stop_waits_for_the_worker(service: Running):
    family = _processes(service)
    service.processes[-1].terminate()
    service.processes[-1].wait(15)
    assert not [one for one in family if one.is_running() and one.status() != psutil.STATUS_ZOMBIE]
    log = (service.folder / LOG).read_text()
    assert log.count("the worker has stopped") == 1
    assert "it is started again" not in log
    service.kill_and_start_again()
