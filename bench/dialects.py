"""Claim: what a tool says in its own words costs little more than our own event: the commit is most of it, and that is shared."""

from collections.abc import Iterator
from functools import partial

from bench.claim import Claim
from bench.ground import Ground, running
from bench.rounds import by_turns, events_a_second
from bench.tool_requests import TOOL_REQUESTS

CONNECTIONS, ROUNDS = 64, 3
_NATIVE = "native"


def measure(grounds: list[Ground]) -> Iterator[Claim]:
    """One service on the embedded database, which each tool loads by turns; a dialect does not see which database it is."""
    with running("bench.server", "service", environment=grounds[0].place().environment()) as service:
        load = partial(events_a_second, service.port, connections=CONNECTIONS, events=1)
        score = by_turns({_NATIVE: load, **{tool: partial(load, tool=tool) for tool in TOOL_REQUESTS}}, rounds=ROUNDS)
    for tool in TOOL_REQUESTS:
        name = f"{grounds[0].name}: a request of {tool} / a native event (worker off)"
        yield Claim(name, score[tool], "requests/s", score[_NATIVE])
