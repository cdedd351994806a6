"""Claim: a restart is over before anybody notices, and reporting a backup costs its host a tenth of a second."""

import http.client
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from app.core.pyz import write
from bench.claim import Claim, Figure, at_most
from bench.ground import Ground, Place, Process, free_port, running
from bench.load import ENROL_KEY
from bench.mails import failure
from bench.rounds import by_turns

STARTS, CALLS, READY_S = 5, 15, 120.0
_TOCSIN = Path(sys.executable).with_name("tocsin")
_PYTHON = Path(sys.executable).resolve()  # of the system, without our packages, as on a backup host


def measure(grounds: list[Ground]) -> Iterator[Claim]:
    """`tocsin serve` on both databases by turns; then the reporter's commands next to bare ones that do the same."""
    places = {ground.name: ground.place() for ground in grounds}
    for place in places.values():
        _serve(place)
    ready = by_turns({name: partial(_serve, place) for name, place in places.items()}, rounds=STARTS)
    for name, figure in ready.items():
        yield Claim(f"{name}: `tocsin serve` to ready, warm", figure, "s", target=at_most(1.5, 0.8))
    service = running("app.cli", "serve", environment=grounds[0].place().environment())
    with tempfile.TemporaryDirectory() as folder, service as server:
        yield from _reporter(server, Path(folder))


def _serve(place: Place) -> float:
    """Return the seconds from the call to a `/readyz` that says yes."""
    port = free_port()
    environment = place.environment() | {"TOCSIN_PORT": str(port)}
    begun = time.monotonic()
    process = subprocess.Popen([_TOCSIN, "serve"], env=environment, stdout=subprocess.DEVNULL)
    try:
        while not _is_ready(port):
            if process.poll() is not None or time.monotonic() - begun > READY_S:
                raise RuntimeError(f"tocsin serve is not ready after {READY_S} s, or ended: {process.returncode}")
            time.sleep(0.01)
        return time.monotonic() - begun
    finally:
        process.terminate()
        process.wait(READY_S)


def _is_ready(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=READY_S)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == http.client.OK
    except OSError:
        return False
    finally:
        connection.close()


def _reporter(server: Process, folder: Path) -> Iterator[Claim]:
    """Call the program as it is downloaded. It writes nothing but its spool, so each call is as warm as the one before."""
    program = write("reporter", folder)
    url = f"http://127.0.0.1:{server.port}"
    environment = {
        "PATH": os.environ["PATH"],
        "TOCSIN_REPORT_URL": url,
        "TOCSIN_REPORT_KEY": ENROL_KEY,
        "TOCSIN_REPORT_SPOOL": str(folder / "spool"),
    }
    body, key = folder / "event.json", f"Authorization: Bearer {ENROL_KEY}"
    body.write_bytes(failure("job-curl", outcome="success"))
    curl = [
        "curl",
        "-sf",
        "-o",
        os.devnull,
        "-H",
        key,
        "-H",
        "Content-Type: application/json",
        "--data-binary",
        f"@{body}",
    ]
    commands: dict[str, list[str]] = {
        "true": ["true"],
        "run": [str(_PYTHON), str(program), "run", "--job", "bench", "--", "true"],
        "send": [str(_PYTHON), str(program), "send", "--job", "bench", "--outcome", "success"],
        "python": [str(_PYTHON), "-c", "pass"],
        **({"curl": [*curl, f"{url}/v1/events"]} if shutil.which("curl") else {}),
    }
    calls: dict[str, Callable[[], float]] = {
        name: partial(_call, words, environment) for name, words in commands.items()
    }
    for call in calls.values():
        call()
    took = by_turns(calls, rounds=CALLS)
    run = Figure(tuple(ours - bare for ours, bare in zip(took["run"].values, took["true"].values, strict=True)))
    yield Claim("`tocsin-report run -- true` over bare `true`", run, "ms", target=at_most(120, 60))
    yield Claim("`tocsin-report send` / bare python3", took["send"], "ms", took["python"], at_most(120, 60))
    if "curl" in took:
        yield Claim("`tocsin-report send` / curl with the same event", took["send"], "ms", took["curl"])


def _call(words: list[str], environment: dict[str, str]) -> float:
    begun = time.monotonic()
    subprocess.run(words, env=environment, check=True, stdout=subprocess.DEVNULL)
    return (time.monotonic() - begun) * 1000
