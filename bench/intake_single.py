"""Claim: single events, each answered after its commit, come in nearly as fast as without a database, and many times as fast as the obvious way."""

from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial

from bench.claim import Claim
from bench.ground import Ground, running
from bench.rounds import by_turns, events_a_second

CONNECTIONS = 64


def measure(grounds: list[Ground]) -> Iterator[Claim]:
    """Four services on each database, loaded by turns."""
    for ground in grounds:
        with ExitStack() as stack:
            ports = {
                variant: stack.enter_context(running(*words, environment=ground.place().environment())).port
                for variant, words in {
                    "ours": ("bench.server", "service"),
                    "no_database": ("bench.server", "no_database"),
                    "obvious": ("bench.obvious",),
                    "with_worker": ("bench.server", "with_worker"),
                }.items()
            }
            score = by_turns(
                {
                    name: partial(events_a_second, port, connections=CONNECTIONS, events=1)
                    for name, port in ports.items()
                }
            )
        yield from _claims(ground.name, score)


def _claims(name: str, score: dict[str, float]) -> Iterator[Claim]:
    ours, unit = score["ours"], "events/s"
    what = f"{name}: single POSTs"
    yield Claim(f"{what} / the same without database (worker off)", ours, unit, score["no_database"], at_least=0.6)
    yield Claim(f"{what} / one ORM insert and commit each (worker off)", ours, unit, score["obvious"], at_least=6)
    yield Claim(f"{what}, worker on, in the same process / worker off", score["with_worker"], unit, ours)
