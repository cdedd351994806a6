"""Runs the service as its users do: `tocsin serve` as a separate process, on a free port and an empty SQLite database."""

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.support import preloaded
from tests.support.migrated import copy_sqlite, sqlite_template
from tests.support.ports import lasting_port
from tests.support.processes import StartedProcess, kill_family
from tests.support.sources import ROOT

START_S, STOP_S = 60, 20
SQLITE_FILE = "tocsin.db"
LOG = "service.log"
SERVE = ["-m", "app.cli", "serve"]  # what Python is to run
# One for all, as each client reads the certificates of the system again; it keeps no connection to a service that is to be killed.
CLIENT = httpx.Client(limits=httpx.Limits(max_keepalive_connections=0), timeout=30, trust_env=False)


def environment(**settings: str) -> dict[str, str]:
    """Return a clean environment with these settings and nothing of the developer's own. Commands write compiled code next to the source, so that only the first one compiles it."""
    ours = ("TOCSIN_", "PYTHONDONTWRITEBYTECODE")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return kept | {"PYTHONPATH": str(ROOT)} | {f"TOCSIN_{name.upper()}": value for name, value in settings.items()}


@dataclass(frozen=True, slots=True)
class Running:
    """A service that answers. `folder` is its var_dir."""

    url: str
    admin_key: str
    enrol_key: str
    folder: Path
    environment: dict[str, str]
    processes: list[StartedProcess]  # the last one serves now

    def ask(self, path: str, **asked: str) -> dict:
        """GET as an administrator."""
        answer = CLIENT.get(f"{self.url}{path}", params=asked, headers={"Authorization": f"Bearer {self.admin_key}"})
        answer.raise_for_status()
        return answer.json()

    def kill_and_start_again(self) -> None:
        """Kill it with SIGKILL, as a power cut would, and start it on the same port and data."""
        kill_family(self.processes[-1])
        self._start_again()

    def stop_and_start_again(self) -> None:
        """Stop it cleanly, and start it on the same port and data."""
        self.processes[-1].terminate()
        self.processes[-1].wait(STOP_S)
        self._start_again()

    def _start_again(self) -> None:
        self.processes.append(start_service(self.folder, self.environment))
        wait_for_answers(self.processes[-1], self.folder / LOG, self.url)

    def tocsin(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run another of our commands while it runs."""
        return preloaded.run(["-m", "app.cli", *arguments], self.folder, self.environment)


def wait_until(what: str, look, patience_s: float = 30):
    """Call `look` until it returns something, and return that. Raises TimeoutError."""
    end = time.monotonic() + patience_s
    while not (found := look()):
        if time.monotonic() > end:
            raise TimeoutError(f"{what} did not come within {patience_s:g} s")
        time.sleep(0.1)
    return found


@contextmanager
def serving(folder: Path, *, command: list[str] | None = None, **settings: str) -> Iterator[Running]:
    """Start the service, wait until it answers, and stop it cleanly at the end. `command`: what Python is to run, by default SERVE as it is then."""
    keys = {"TOCSIN_ADMIN_KEY": "an-admin-key-of-a-test", "TOCSIN_ENROL_KEY": "an-enrol-key-of-a-test"}
    ours = {"TOCSIN_VAR_DIR": str(folder), "TOCSIN_PORT": str(lasting_port()), **keys, **settings}
    settings_of_it = environment() | ours
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / SQLITE_FILE).exists() and "TOCSIN_DATABASE_URL" not in settings:
        copy_sqlite(sqlite_template(), folder / SQLITE_FILE)  # saves each service the migrations
    process = start_service(folder, settings_of_it, command)
    running = None
    try:
        url = (
            f"http://127.0.0.1:{ours['TOCSIN_PORT']}"  # it prints TOCSIN_BASE_URL, which may be the address of a proxy
        )
        wait_for_answers(process, folder / LOG, url)
        running = Running(url, keys["TOCSIN_ADMIN_KEY"], keys["TOCSIN_ENROL_KEY"], folder, settings_of_it, [process])
        yield running
        running.processes[-1].terminate()
        running.processes[-1].wait(STOP_S)
    finally:
        last = process if running is None else running.processes[-1]
        if last.poll() is None:
            kill_family(last)


def start_service(folder: Path, environment: dict[str, str], command: list[str] | None = None) -> StartedProcess:
    """Start it in `folder`, where its output is kept in LOG."""
    with (folder / LOG).open("wb") as out:
        return preloaded.start(command or SERVE, folder, environment, out, out)


def shown_by(process: StartedProcess, log: Path) -> str:
    """Wait until it has printed all that it prints at its start, and return that. It may not answer yet."""

    def look() -> str | None:
        text = log.read_text(encoding="utf-8")
        if process.poll() is not None:
            raise RuntimeError(f"the service ended: {text}")
        return text if "Mail goes to" in text else None

    return wait_until("the service", look, START_S)


def address_in(shown: str) -> str:
    """Return the address in the output of its start."""
    return next(line.rpartition(" ")[2] for line in shown.splitlines() if line.startswith("Tocsin serves on "))


def address_of(process: StartedProcess, log: Path) -> str:
    """Return the address where it serves, once it answers there."""
    url = address_in(shown_by(process, log))
    wait_for_answers(process, log, url)
    return url


def wait_for_answers(process: StartedProcess, log: Path, url: str) -> None:
    """Wait until it has printed all that it prints at its start, and answers at this address."""

    def answers() -> bool:
        try:
            return CLIENT.get(f"{url}/healthz", timeout=5).is_success
        except httpx.TransportError:
            return False

    shown_by(process, log)
    wait_until("the service", answers, START_S)
