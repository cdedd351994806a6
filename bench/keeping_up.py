"""Claim: with its worker on, the service takes single events and batches all night at a rate at which it also decides them."""

import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial

from bench.bare_insert import insert_bare
from bench.claim import Claim, Figure, Target, at_least, at_most
from bench.ground import Ground, Place, Process, running
from bench.mails import undecided, wait_until_idle
from bench.rounds import by_turns, events_a_second, load

PEER_S, PEER_ROUNDS = 3.0, 3
TRY_S, TRIES, DRAIN_S = 6.0, 3, 40.0
PRUDENT = 0.97  # of the highest rate that a short try kept up with


@dataclass(frozen=True, slots=True)
class _Senders:
    """Who sends: so many connections, each a request of so many events after another; measured for so long."""

    connections: int
    events: int
    seconds: float


SINGLE, BATCHES = _Senders(32, 1, 60.0), _Senders(6, 500, 20.0)


@dataclass(frozen=True, slots=True)
class _Pace:
    """What a load showed: events accepted a second, and how many were undecided at its end."""

    accepted: float
    undecided: int
    seconds: float

    @property
    def rate(self) -> float:
        """Events a second that it accepted, or decided if it did not keep up."""
        return self.accepted if self.keeps_up else max(0.0, self.accepted - self.undecided / self.seconds)

    @property
    def keeps_up(self) -> bool:
        """Whether less than one second's worth was undecided."""
        return self.undecided < self.accepted


def measure(grounds: list[Ground]) -> Iterator[Claim]:
    """For each database the peers by turns, then the highest rate that the service keeps up with, for a minute."""
    for ground in grounds:
        peers = _peers(ground)
        place = ground.place()
        with running("app.cli", "serve", environment=place.environment()) as server:
            single = _highest_pace(ground, place, server, SINGLE)
            batches = _highest_pace(ground, place, server, BATCHES)
        what = f"{ground.name}: single POSTs, worker on and keeping up"
        rate = Figure.of(single.rate)
        yield Claim(f"{what} / FastAPI with an ORM", rate, "/s", peers["orm"], at_least(1_700, 3_000))
        yield Claim(f"{what} / FastAPI without a database", rate, "/s", peers["no database"])
        yield _undecided(f"{what}: undecided after a minute / a second's worth", single)
        what = f"{ground.name}: batches of {BATCHES.events}, worker on and keeping up"
        target: Target = at_least(0.4, 0.6, of_peer=True)
        yield Claim(f"{what} / bare executemany", Figure.of(batches.rate), "events/s", peers["bare"], target)
        yield _undecided(f"{what}: undecided at the end / a second's worth", batches)


def _undecided(name: str, pace: _Pace) -> Claim:
    return Claim(name, Figure.of(pace.undecided), "events", Figure.of(pace.accepted), at_most(1, of_peer=True))


def _peers(ground: Ground) -> dict[str, Figure]:
    bare = ground.place()
    with ExitStack() as stack:
        contenders = {"bare": partial(insert_bare, bare.url, PEER_S)}
        for name, variant in (("orm", "orm"), ("no database", "nothing")):
            environment = ground.place().environment()
            port = stack.enter_context(running("bench.obvious", variant, environment=environment)).port
            contenders[name] = partial(events_a_second, port, connections=SINGLE.connections, events=1, seconds=PEER_S)
        return by_turns(contenders, rounds=PEER_ROUNDS)


def _highest_pace(ground: Ground, place: Place, server: Process, senders: _Senders) -> _Pace:
    """Search by halving, in short loads, between what is decided at full load and what is accepted; then send at that rate for the full time.

    At full load the service may take in more than it decides: a fleet does not send like that, but it shows the upper bound.
    """
    full = _paced(ground, place, server, senders, TRY_S, 0)
    if full.keeps_up:
        return _paced(ground, place, server, senders, senders.seconds, 0)
    low, high = max(full.rate, full.accepted / 20), full.accepted
    for _ in range(TRIES):
        tried = _paced(ground, place, server, senders, TRY_S, (low + high) / 2)
        low, high = (tried.accepted, high) if tried.keeps_up else (low, (low + high) / 2)
    return _paced(ground, place, server, senders, senders.seconds, low * PRUDENT)


def _paced(ground: Ground, place: Place, server: Process, senders: _Senders, seconds: float, rate: float) -> _Pace:
    if left := wait_until_idle(ground, place, DRAIN_S):
        print(f"{ground.name}: {left} events of the load before are still undecided", file=sys.stderr)
    score = load(server.port, connections=senders.connections, events=senders.events, seconds=seconds, rate=rate)
    pace = _Pace(score["events_s"], undecided(ground, place), seconds)
    print(
        f"{ground.name}: {pace.accepted:.0f} events/s for {seconds:.0f} s, {pace.undecided} undecided", file=sys.stderr
    )
    return pace
