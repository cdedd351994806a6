"""The limit of our batches: the bare driver's `executemany` of the same rows into the same table, a commit for every 500.

`python -m bench.bare_insert URL SECONDS PREFIX` prints rows a second. Only the driver's time counts, not that of making rows.
"""

import sqlite3
import subprocess
import sys
import time
from datetime import UTC, datetime

import asyncpg
import uvloop

from app.store.intake import NewEvent
from app.store.types import to_micros
from bench.rounds import fresh_prefix

BATCH = 500
_AT = datetime(2026, 11, 23, 1, 10, tzinfo=UTC)
_METRICS = '{"bytes_processed":11274289152,"bytes_stored":734003200,"files_processed":12345,"files_failed":0,"duration_s":2467.5}'


def rows(prefix: str, number: int, at: object) -> list[tuple[object, ...]]:
    """Make 500 rows such as bench/load.py's events become."""
    return [
        NewEvent(
            id=f"evt_{prefix}{number:012d}{n:014d}",
            customer_id="cus_01993a7c2f6b7c1e9f0a5d3e8b4c2a10",
            agent_id=f"agt_01993a7c2f6b7c1e9f0a5d3e8b4c{n % 20:04d}",
            key=f"{prefix}{number:010d}-{n:04d}",
            job=f"nightly-{n % 50:02d}",
            run=f"{prefix}{number:010d}-{n:04d}",
            activity="backup",
            phase="finished",
            outcome="success",
            severity="info",
            occurred_at=at,  # type: ignore[arg-type]
            received_at=at,  # type: ignore[arg-type]
            message="12,345 files, 10.5 GiB in 00:41:07",
            log=None,
            metrics=_METRICS,
            labels='{"site":"berlin","tier":"gold"}',
            extra=None,
            flags=None,
        )
        for n in range(BATCH)
    ]


def on_sqlite(path: str, seconds: float, prefix: str) -> float:
    """Insert with the standard library's driver, as durable as the service is."""
    connection = sqlite3.connect(path, isolation_level=None, timeout=30)
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "cache_size=-32000"):
        connection.execute(f"PRAGMA {pragma}")
    insert = f"INSERT INTO events ({', '.join(NewEvent._fields)}) VALUES ({', '.join('?' * len(NewEvent._fields))})"

    def store(batch: list[tuple[object, ...]]) -> None:
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany(insert, batch)
        connection.execute("COMMIT")

    spent, number = 0.0, 0
    while spent < seconds:
        number += 1
        batch = rows(prefix, number, to_micros(_AT))
        begun = time.perf_counter()
        store(batch)
        spent += time.perf_counter() - begun
    connection.close()
    return number * BATCH / spent


async def on_postgres(dsn: str, seconds: float, prefix: str) -> float:
    """Insert with asyncpg."""
    connection = await asyncpg.connect(dsn)
    insert = f"INSERT INTO events ({', '.join(NewEvent._fields)}) VALUES ({', '.join(f'${n + 1}' for n in range(len(NewEvent._fields)))})"
    spent, number = 0.0, 0
    while spent < seconds:
        number += 1
        batch = rows(prefix, number, _AT)
        begun = time.perf_counter()
        async with connection.transaction():
            await connection.executemany(insert, batch)
        spent += time.perf_counter() - begun
    await connection.close()
    return number * BATCH / spent


def insert_bare(url: str, seconds: float) -> float:
    """Insert in a process of its own for so long; return rows a second."""
    plain = url.replace("+aiosqlite", "").replace("+asyncpg", "")
    words = [sys.executable, "-m", "bench.bare_insert", plain, str(seconds), fresh_prefix()]
    return float(subprocess.run(words, check=True, capture_output=True).stdout)


def _run(url: str, seconds: float, prefix: str) -> float:
    scheme, _, rest = url.partition("://")
    if scheme.startswith("sqlite"):
        return on_sqlite(rest.removeprefix("/"), seconds, prefix)
    return uvloop.run(on_postgres(f"postgresql://{rest}", seconds, prefix))


if __name__ == "__main__":
    _url, _seconds, _prefix = sys.argv[1:]
    print(_run(_url, float(_seconds), _prefix))
