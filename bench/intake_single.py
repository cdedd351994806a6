"""Claim: single events, each answered after its commit, come in nearly as fast as without a database, and many times as fast as the simplest service does."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import partial

from bench.claim import Claim, Figure, at_least
from bench.ground import Ground, running
from bench.rounds import by_turns, events_a_second

CONNECTIONS = 64


def measure(grounds: list[Ground]) -> Iterator[Claim]:
    """Three services on each database, loaded by turns; then the one with a worker, which goes on deciding while others would be loaded."""
    for ground in grounds:
        score = _score(
            ground,
            {
                "ours": ("bench.server", "service"),
                "no_database": ("bench.server", "no_database"),
                "obvious": ("bench.obvious",),
            },
        )
        score |= _score(ground, {"with_worker": ("bench.server", "with_worker")})
        yield from _claims(ground.name, score)


def _score(ground: Ground, services: Mapping[str, Sequence[str]]) -> dict[str, Figure]:
    with ExitStack() as stack:
        contenders = {
            name: partial(
                events_a_second,
                stack.enter_context(running(*words, environment=ground.place().environment())).port,
                connections=CONNECTIONS,
                events=1,
            )
            for name, words in services.items()
        }
        return by_turns(contenders)


def _claims(name: str, score: dict[str, Figure]) -> Iterator[Claim]:
    ours, unit = score["ours"], "events/s"
    what = f"{name}: single POSTs"
    yield Claim(
        f"{what} / the same without database (worker off)",
        ours,
        unit,
        score["no_database"],
        at_least(0.6, of_peer=True),
    )
    yield Claim(
        f"{what} / one ORM insert and commit each (worker off)", ours, unit, score["obvious"], at_least(6, of_peer=True)
    )
    yield Claim(f"{what}, worker on, in the same process / worker off", score["with_worker"], unit, ours)
