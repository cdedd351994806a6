"""Claim: batches of 500 lines come in nearly as fast as the driver alone could insert the same rows."""

from collections.abc import Iterator
from functools import partial

from bench.bare_insert import insert_bare
from bench.claim import Claim, at_least
from bench.ground import Ground, running
from bench.rounds import by_turns, events_a_second

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
                    "bare": partial(insert_bare, bare.url, SECONDS),
                }
            )
        name = f"{ground.name}: NDJSON, 500 events each / bare executemany of the rows"
        yield Claim(name, score["ours"], "events/s", score["bare"], at_least(0.6, of_peer=True))
