"""Measures contenders by turns (A B A B ...): a machine that is slow for a while is then slow for all of them."""

import itertools
import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from typing import TypeVar

from bench.claim import Figure

ROUNDS = 5
Result = TypeVar("Result")
_prefixes = (f"{number:06d}" for number in itertools.count(1))


def by_turns(contenders: Mapping[str, Callable[[], float]], *, rounds: int = ROUNDS) -> dict[str, Figure]:
    """Run each contender once a round; return the figure of each."""
    return {name: Figure(tuple(values)) for name, values in all_by_turns(contenders, rounds=rounds).items()}


def all_by_turns(contenders: Mapping[str, Callable[[], Result]], *, rounds: int = ROUNDS) -> dict[str, list[Result]]:
    """Run each contender once a round; return what each returned."""
    results: dict[str, list[Result]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, run in contenders.items():
            results[name].append(run())
    return results


def events_a_second(
    port: int, *, connections: int, events: int, seconds: float = 2.5, tool: str | None = None
) -> float:
    """Load the service on `port`, as a tool does if one is named, and return the events that it accepted per second.

    Raises RuntimeError if it refused any.
    """
    return load(port, connections=connections, events=events, seconds=seconds, tool=tool)["events_s"]


def load(
    port: int, *, connections: int, events: int, seconds: float, rate: float = 0, tool: str | None = None
) -> dict[str, float]:
    """Load the service on `port`, with at most `rate` events a second unless it is 0, and return the score of bench/load.py.

    Raises RuntimeError if it refused any.
    """
    words = (
        str(port),
        str(seconds),
        str(connections),
        str(events),
        fresh_prefix(),
        str(rate),
        *([tool] if tool else []),
    )
    done = subprocess.run([sys.executable, "-m", "bench.load", *words], check=True, capture_output=True)
    score: dict[str, float] = json.loads(done.stdout)
    if score["bad"] or not score["events_s"]:
        raise RuntimeError(f"the service on port {port} refused or answered nothing: {score}")
    return score


def fresh_prefix() -> str:
    """Return six characters that no key began with before."""
    return next(_prefixes)
