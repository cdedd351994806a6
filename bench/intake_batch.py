"""Claim: batches of 500 lines come in nearly as fast as the driver alone could insert the same rows."""

import subprocess
import sys
from collections.abc import Iterator
from functools import partial

from bench.claim import Claim
from bench.ground import Ground, running
from bench.rounds import by_turns, events_a_second, fresh_prefix

CONNECTIONS, EVENTS, SECONDS = 6, 500, 2.5


def measure(grounds: list[Ground]) -> Iterator[Claim]:
    """The service and the bare driver, each on a database of its own of the same kind, by turns."""
    for ground in grounds:
        bare = ground.place()
        with running("bench.server", "service", environment=ground.place().environment()) as ours:
            score = by_turns(
                {
                    "ours": partial(
                        events_a_second, ours.port, connections=CONNECTIONS, events=EVENTS, seconds=SECONDS
                    ),
                    "bare": partial(_bare, bare.url),
                }
            )
        name = f"{ground.name}: NDJSON, 500 events each / bare executemany of the rows"
        yield Claim(name, score["ours"], "events/s", score["bare"], at_least=0.6)


def _bare(url: str) -> float:
    plain = url.replace("+aiosqlite", "").replace("+asyncpg", "")
    words = [sys.executable, "-m", "bench.bare_insert", plain, str(SECONDS), fresh_prefix()]
    return float(subprocess.run(words, check=True, capture_output=True).stdout)
