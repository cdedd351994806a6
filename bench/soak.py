"""Shows that a long run reaches a plateau: `python -m bench.soak [MINUTES] [sqlite|postgresql]`, 30 minutes on SQLite by default.

One process of `tocsin serve` with its worker takes 300 events a second, or as many as it can, of which a fifth are failures, each in the mail of its agent's
minute; a job that failed succeeds the next time. Every minute it prints what the process holds: memory, descriptors, the write-ahead log, and what waits.
It fails if memory grows by more than a twentieth from the first third of the run to its end, if descriptors grow, or if anything waits
at the end.
"""

import sys
import threading
import time
from dataclasses import astuple, dataclass
from pathlib import Path

import httpx

from bench.ground import Ground, Place, Process, grounds, running
from bench.load import ENROL_KEY
from bench.mails import mail_settings

RATE, BATCH, JOBS, AGENTS = 300, 30, 6000, 600
MOST_GROWTH, MORE_DESCRIPTORS, DRAIN_S = 1.05, 20, 120
MIB = 1024 * 1024
_ONE_MAIL_PER_AGENT = "UPDATE routes SET group_by = '[\"agent\"]', group_interval_s = 60"
_WAITING = (
    "SELECT (SELECT count(*) FROM events WHERE state = 'new') + (SELECT count(*) FROM notices WHERE state = 'waiting')"
    " + (SELECT count(*) FROM messages WHERE state IN ('queued', 'leased', 'unknown'))"
)


@dataclass(frozen=True, slots=True)
class Look:
    """What the process held at one moment."""

    minute: float
    events: int
    mails: int
    resident_mib: float
    descriptors: int
    wal_mib: float
    database_mib: float
    waiting: int


def main() -> int:
    """Run it, print a look every minute, and return 1 if there is no plateau."""
    minutes = float(sys.argv[1]) if len(sys.argv) > 1 else 30.0
    wanted = sys.argv[2] if len(sys.argv) > 2 else "sqlite"  # noqa: PLR2004
    with grounds() as both:
        ground = next(one for one in both if one.name.lower() == wanted)
        return _judge(ground.name, _run(ground, minutes))


def _run(ground: Ground, minutes: float) -> list[Look]:
    with running("bench.sink", "1", shown=True) as sink:
        mail = mail_settings(sink)
        place, mails = ground.place(**mail), [0]
        ground.sql(place, _ONE_MAIL_PER_AGENT)
        threading.Thread(target=_count_mails, args=(sink, mails), daemon=True).start()
        with running("app.cli", "serve", environment=place.environment(**mail)) as server:
            return _drive(ground, place, server, mails, minutes)


def _drive(ground: Ground, place: Place, server: Process, mails: list[int], minutes: float) -> list[Look]:
    looks, begun, sent = [], time.monotonic(), 0
    print(" ".join(f"{name:>12}" for name in Look.__slots__), flush=True)

    def look() -> None:
        waiting = int(ground.sql(place, _WAITING))
        minute = round((time.monotonic() - begun) / 60, 1)
        wal, database = _sizes(place)
        looks.append(
            Look(minute, sent, mails[0], round(server.resident / MIB, 1), server.descriptors, wal, database, waiting)
        )  # fmt: skip
        print(" ".join(f"{value:>12}" for value in astuple(looks[-1])), flush=True)

    headers = {"Authorization": f"Bearer {ENROL_KEY}"}
    with httpx.Client(base_url=f"http://127.0.0.1:{server.port}", headers=headers, timeout=60) as client:
        while (passed := time.monotonic() - begun) < minutes * 60:
            if passed >= len(looks) * 60:
                look()
            if sent > passed * RATE:
                time.sleep(0.02)
                continue
            client.post("/v1/events", json=[_event(sent + number) for number in range(BATCH)]).raise_for_status()
            sent += BATCH
        end = time.monotonic() + DRAIN_S
        while int(ground.sql(place, _WAITING)) and time.monotonic() < end:
            time.sleep(1)
        look()
    return looks


def _event(number: int) -> dict[str, str]:
    """Return an event. Every fifth job fails in each other turn, and two fifths of all jobs take part: a fifth of all events."""
    turn, job = divmod(number, JOBS)
    fails = job % 5 == turn % 2
    return {
        "key": f"soak-{number}",
        "agent": f"host-{job % AGENTS:03d}",
        "job": f"nightly-{job:04d}",
        "phase": "finished",
        "outcome": "failure" if fails else "success",
        "message": "repository is locked" if fails else "12,345 files, 10.5 GiB in 00:41:07",
    }


def _count_mails(sink: Process, mails: list[int]) -> None:
    for _ in sink.popen.stdout or ():
        mails[0] += 1


def _sizes(place: Place) -> tuple[float, float]:
    """Return the sizes of the write-ahead log and the database, in MiB; on PostgreSQL both are the server's."""
    if not place.is_sqlite:
        return 0.0, 0.0
    database = Path(place.url.partition(":///")[2])
    wal = database.with_name(database.name + "-wal")
    return round(wal.stat().st_size / MIB, 1) if wal.exists() else 0.0, round(database.stat().st_size / MIB, 1)


def _judge(name: str, looks: list[Look]) -> int:
    third, last = looks[len(looks) // 3], looks[-1]
    growth = last.resident_mib / third.resident_mib
    print(f"memory at the end / after a third: {growth:.3f} (at most {MOST_GROWTH})")
    print(f"descriptors: {third.descriptors} -> {last.descriptors}; waiting at the end: {last.waiting}")
    later = looks[len(looks) // 3 :]
    memory, wal = max(look.resident_mib for look in later), max(look.wal_mib for look in looks)
    print(  # the line for docs/scale.md
        f"{name}, {last.events / last.minute / 60:.0f} events a second, a fifth of them failures, for {last.minute:.0f} minutes: {looks[0].resident_mib:.0f} MiB at rest, "
        f"at most {memory:.0f} MiB from minute {third.minute:.0f} on, {last.descriptors} descriptors, a log of at most {wal:.0f} MiB, "
        f"{last.events:,} events, {last.mails:,} mails, {last.waiting:,} waiting at the end"
    )
    fine = growth <= MOST_GROWTH and last.descriptors <= third.descriptors + MORE_DESCRIPTORS and last.waiting == 0
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
