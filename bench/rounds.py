"""Measures contenders by turns (A B A B ...), and takes the best of each: what else a machine does only makes them slower.

A virtual machine may run at half its speed for seconds while others on the same host work. A median would then be of disturbed rounds.
"""

import itertools
import json
import subprocess
import sys
from collections.abc import Callable, Mapping

ROUNDS = 5
_prefixes = (f"{number:06d}" for number in itertools.count(1))


def by_turns(
    contenders: Mapping[str, Callable[[], float]], best: Callable[[list[float]], float] = max, *, rounds: int = ROUNDS
) -> dict[str, float]:
    """Run each contender once a round; return the best of each: the most, or by `min` the least."""
    scores: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, run in contenders.items():
            scores[name].append(run())
    return {name: best(found) for name, found in scores.items()}


def events_a_second(
    port: int, *, connections: int, events: int, seconds: float = 2.5, tool: str | None = None
) -> float:
    """Load the service on `port`, as a tool does if one is named, and return the events that it accepted per second.

    Raises RuntimeError if it refused any.
    """
    words = (str(port), str(seconds), str(connections), str(events), fresh_prefix(), *([tool] if tool else []))
    done = subprocess.run([sys.executable, "-m", "bench.load", *words], check=True, capture_output=True)
    score = json.loads(done.stdout)
    if score["bad"] or not score["events_s"]:
        raise RuntimeError(f"the service on port {port} refused or answered nothing: {score}")
    return float(score["events_s"])


def fresh_prefix() -> str:
    """Return six characters that no key began with before."""
    return next(_prefixes)
