"""Counts the SQL statements that an alert needs, from its event to its settled mail: by the database itself, whoever sends them."""

import tempfile
import time
from pathlib import Path

import httpx

from bench.ground import Ground, Place, Process, running
from bench.load import ENROL_KEY
from bench.mails import ONE_MAIL_EACH, Mails, failure, mail_settings

ALERTS, WARM = 40, 5
SETTLE_S = 0.5
COUNT_FILE = (
    "BENCH_STATEMENTS"  # an environment variable: the file to which bench/server.py adds a byte for each statement
)
_LOGGED = ("LOG:  execute ", "LOG:  statement: ")


def statements_an_alert(ground: Ground) -> float:
    """Let one job after another fail on a new database and count. What ticks do meanwhile counts too."""
    with running("bench.sink", "1", shown=True) as sink, tempfile.TemporaryDirectory() as folder:
        mails, mail, file = Mails(sink), mail_settings(sink), Path(folder) / "statements"
        place = ground.place(**mail)
        ground.sql(place, ONE_MAIL_EACH)
        if not place.is_sqlite:
            ground.sql(place, f"ALTER DATABASE {place.name} SET log_statement = 'all'")
        file.touch()
        environment = place.environment(**mail) | {COUNT_FILE: str(file)}
        with running("bench.server", "counted", environment=environment) as server:
            _fail(server, mails, "job-warm", WARM)
            before = _count(ground, place, file)
            _fail(server, mails, "job-counted", ALERTS)
            return (_count(ground, place, file) - before) / ALERTS


def _fail(server: Process, mails: Mails, name: str, number: int) -> None:
    headers = {"Authorization": f"Bearer {ENROL_KEY}", "Content-Type": "application/json"}
    with httpx.Client(base_url=f"http://127.0.0.1:{server.port}", headers=headers, timeout=60) as client:
        for one in range(number):
            client.post("/v1/events", content=failure(f"{name}-{one}")).raise_for_status()
            mails.wait_for_job(f"{name}-{one}")
    time.sleep(SETTLE_S)  # the last attempt is recorded after its 250


def _count(ground: Ground, place: Place, file: Path) -> int:
    if place.is_sqlite:
        return file.stat().st_size
    assert ground.cluster is not None
    return sum(any(mark in line for mark in _LOGGED) for line in (ground.cluster.folder / "log").open(errors="replace"))
