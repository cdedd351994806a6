"""Claim: each list answers its first page from an index, however long the history: also the page of a job with 60 events among two million."""

import asyncio
import itertools
import time
from collections.abc import Iterator

import httpx
from sqlalchemy import insert, text

from app.store.engine import open_engines
from app.store.transactions import Database
from bench.claim import Claim, Figure, at_most
from bench.ground import ADMIN_KEY, Ground, Place, running
from tests.flow.admin import test_long_history as history

ROWS, CHUNK, ASKED = 2_000_000, 20_000, 5
NOUNS = ("events", "runs", "alerts")


def measure(grounds: list[Ground]) -> Iterator[Claim]:
    """`tocsin serve` on each database, asked what the test of the long history asks."""
    history.ROWS = ROWS
    for ground in grounds:
        place = ground.place()
        asyncio.run(_fill(place))
        with running("app.cli", "serve", environment=place.environment(worker="false")) as server:
            headers = {"Authorization": f"Bearer {ADMIN_KEY}"}
            with httpx.Client(base_url=f"http://127.0.0.1:{server.port}", timeout=120, headers=headers) as client:
                for noun in NOUNS:
                    slowest, question = max(
                        (_seconds(client, noun, params), str(params)) for params, _ in history.QUESTIONS[noun]
                    )
                    name = f"{ground.name}: slowest first page of {ROWS:,} {noun}, {question}"
                    yield Claim(name, Figure.of(slowest * 1000), "ms", target=at_most(100))


def _seconds(client: httpx.Client, noun: str, params: dict[str, str]) -> float:
    """Ask for a page several times; return the time of the quickest answer, which other work on the machine lengthens least."""
    times = []
    for _ in range(ASKED):
        begun = time.perf_counter()
        page = client.get(f"/v1/{noun}", params=params).raise_for_status().json()
        times.append(time.perf_counter() - begun)
        if page["next"] is not None and not page["items"]:
            raise RuntimeError(f"/v1/{noun} with {params} answered an empty page that has a next one")
    return min(times)


async def _fill(place: Place) -> None:
    database = Database(open_engines(place.settings()))
    try:
        for table, rows in (*history.ALWAYS, *(history.HISTORY[noun][0] for noun in NOUNS)):
            left = rows()
            while chunk := list(itertools.islice(left, CHUNK)):
                async with database.write() as tx:
                    await tx.connection.execute(insert(table), chunk)
        if not place.is_sqlite:
            async with database.write() as tx:
                await tx.connection.execute(text("ANALYZE"))
    finally:
        await database.close()
