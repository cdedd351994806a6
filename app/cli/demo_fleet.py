"""An invented fleet and its last 14 nights, as its agents would report them. Pure: the same night has the same events."""

import random
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

NIGHTS = 14
GIB = 1024**3


@dataclass(frozen=True, slots=True)
class DemoJob:
    """One job: where it runs, with which tool, when it starts (UTC) and how much it usually transfers."""

    customer: str
    agent: str
    name: str
    tool: str
    cron: str
    gib: float
    activity: str = "backup"

    @property
    def start(self) -> timedelta:
        """How long after midnight it starts."""
        minute, hour = self.cron.split()[:2]
        return timedelta(hours=int(hour), minutes=int(minute))


ACME, BOREALIS, CEDAR, DELTA = "Acme (demo)", "Borealis (demo)", "Cedar (demo)", "Delta (demo)"

FLEET = (
    DemoJob(ACME, "sql01", "nightly-sql", "Veeam", "10 1 * * *", 210),
    DemoJob(ACME, "sql01", "transaction-logs", "Veeam", "45 0 * * *", 6),
    DemoJob(ACME, "sql01", "verify-sql", "Veeam", "30 4 * * *", 210, "verify"),
    DemoJob(ACME, "files01", "shares", "restic", "20 1 * * *", 85),
    DemoJob(ACME, "files01", "homes", "restic", "50 1 * * *", 42),
    DemoJob(ACME, "files01", "prune", "restic", "0 5 * * *", 1, "prune"),
    DemoJob(ACME, "web01", "www", "borg", "5 2 * * *", 12),
    DemoJob(ACME, "web01", "mariadb", "borg", "35 2 * * *", 9),
    DemoJob(BOREALIS, "dc01", "system-state", "Windows Server Backup", "0 22 * * *", 18),
    DemoJob(BOREALIS, "dc01", "sysvol", "Windows Server Backup", "30 22 * * *", 2),
    DemoJob(BOREALIS, "nas01", "projects", "rsync", "15 23 * * *", 340),
    DemoJob(BOREALIS, "nas01", "archive", "rsync", "45 0 * * *", 120),
    DemoJob(BOREALIS, "nas01", "replicate-offsite", "zfs send", "15 3 * * *", 95, "replicate"),
    DemoJob(BOREALIS, "vm-host1", "vm-erp", "Proxmox Backup", "0 1 * * *", 160),
    DemoJob(BOREALIS, "vm-host1", "vm-mail", "Proxmox Backup", "30 1 * * *", 75),
    DemoJob(BOREALIS, "vm-host1", "vm-print", "Proxmox Backup", "0 2 * * *", 14),
    DemoJob(CEDAR, "pg01", "basebackup", "pgBackRest", "0 2 * * *", 64),
    DemoJob(CEDAR, "pg01", "wal-archive", "pgBackRest", "30 3 * * *", 11),
    DemoJob(CEDAR, "app01", "uploads", "Duplicati", "10 2 * * *", 27),
    DemoJob(CEDAR, "app01", "config", "Duplicati", "25 2 * * *", 0.2),
    DemoJob(CEDAR, "git01", "repositories", "Kopia", "40 2 * * *", 33),
    DemoJob(CEDAR, "git01", "registry", "Kopia", "55 2 * * *", 140),
    DemoJob(CEDAR, "git01", "verify-snapshots", "Kopia", "45 4 * * *", 33, "verify"),
    DemoJob(DELTA, "ex02", "mail-store", "Veeam", "0 3 * * *", 190),
    DemoJob(DELTA, "ex02", "system", "Veeam", "0 0 * * *", 30),
    DemoJob(DELTA, "laptop-ceo", "documents", "Duplicati", "0 12 * * *", 3),
    DemoJob(DELTA, "laptop-ceo", "photos", "Duplicati", "30 12 * * *", 8),
    DemoJob(DELTA, "nas-home", "shares", "Hyper Backup", "0 1 * * *", 54),
    DemoJob(DELTA, "nas-home", "cameras", "Hyper Backup", "30 2 * * *", 25),
    DemoJob(DELTA, "nas-home", "prune", "Hyper Backup", "30 5 * * *", 1, "prune"),
)
FAILS, WARNS, RECOVERS, MISSED = FLEET[3], FLEET[10], FLEET[20], FLEET[23]

FAILURE = "repository is locked by another process"
LOG = """restic 0.17.3 compiled with go1.23.3 on linux/amd64
open repository
using parent snapshot 3f9c21aa
start scan on [/srv/shares]
start backup on [/srv/shares]
scan finished in 41.207s: 1904211 files, 84.612 GiB
Save(<data/9b1f0c7d2e>) returned error, retrying after 1.2s: connection reset by peer
Save(<data/9b1f0c7d2e>) returned error, retrying after 2.9s: connection reset by peer
unable to create lock in backend: repository is already locked exclusively by PID 31877 on files01 by root (UID 0, GID 0)
lock was created at {locked} (9h12m4s ago)
storage ID 5e7b2c90
the `unlock` command can be used to remove stale locks
Fatal: unable to save snapshot: repository is locked by another process
"""


def nights(now: datetime) -> dict[str, list[dict[str, Any]]]:
    """Return each customer's events of the last 14 nights: all good except for the newest night and a few old failures and warnings."""
    events: dict[str, list[dict[str, Any]]] = {}
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    for job in FLEET:
        starts = [midnight - timedelta(days=day) + job.start for day in range(NIGHTS + 2)]
        ended_by_now = [started for started in starts if started < now - timedelta(hours=3)]
        chance = random.Random(f"{job.agent}/{job.name}")  # noqa: S311  (an invented night, not a secret)
        for ago, started in enumerate(ended_by_now[:NIGHTS]):
            outcome = _outcome_of(job, ago, chance)
            if outcome is not None:
                ended = now if ago == 0 and job in (FAILS, RECOVERS) else None
                events.setdefault(job.customer, []).append(_event(job, started, outcome, chance, ended))
    return events


def recovery(now: datetime) -> dict[str, Any]:
    """Return the successful second try of the job that has just failed."""
    return _event(RECOVERS, now, "success", random.Random("again"), ended=now)  # noqa: S311


def _outcome_of(job: DemoJob, ago: int, chance: random.Random) -> str | None:
    """Return the outcome of a night; None for a run that did not happen."""
    drawn = chance.random()
    if ago == 0 and job in (FAILS, RECOVERS):
        return "failure"
    if ago == 0 and job is MISSED:
        return None
    if job is WARNS:
        return "warning" if ago < 3 else "success"  # noqa: PLR2004  (three in a row open an alert)
    if ago >= 4 and drawn < 0.04:  # noqa: PLR2004  (old failures for the history, recovered since)
        return "failure" if drawn < 0.02 else "warning"  # noqa: PLR2004
    return "success"


def _event(
    job: DemoJob, started: datetime, outcome: str, chance: random.Random, ended: datetime | None = None
) -> dict[str, Any]:
    size = job.gib * GIB * chance.uniform(0.93, 1.07)
    duration = 40 + job.gib * chance.uniform(14, 19)
    at = ended or started + timedelta(seconds=duration)
    failed = outcome == "failure"
    if failed:
        message = FAILURE if job is FAILS else "connection to the storage was lost"
    else:
        message = "37 files could not be read" if outcome == "warning" else f"{job.activity} completed"
    event = {
        "key": f"demo/{job.agent}/{job.name}/{at.isoformat()}",
        "agent": job.agent,
        "job": job.name,
        "activity": job.activity,
        "phase": "finished",
        "outcome": outcome,
        "occurred_at": at.isoformat(),
        "message": message,
        "metrics": {
            "bytes_processed": int(size * (0.4 if failed else 1)),
            "bytes_stored": int(size * (0 if failed else 0.06)),
            "files_processed": int(job.gib * 900),
            "files_failed": 37 if outcome == "warning" else 0,
            "duration_s": round(duration, 1),
        },
        "labels": {"tool": job.tool, "site": "headquarters" if job.customer == ACME else "main"},
    }
    if failed and job is FAILS:
        event["log"] = LOG.format(locked=f"{at - timedelta(hours=9, minutes=12):%Y-%m-%d %H:%M:%S}")
    return event
