"""Claim: deciding takes thousands of good events and failures a second, so that no night of any fleet makes a backlog."""

import itertools
import sys
import time
from collections.abc import Iterator
from functools import partial

import uvloop

from app.cli.serve import SWITCH_INTERVAL_S
from app.context import AppContext
from app.core.clock import now
from app.core.log import set_up_log
from app.core.secret import Secret
from app.core.wakeups import Wakeups
from app.decide import tick as decide
from app.store.engine import open_engines
from app.store.transactions import Database
from bench.backlog import AGENTS, JOBS, add_backlog
from bench.claim import Claim, Target, at_least
from bench.fleet import add_jobs, settle
from bench.ground import SECRET, Ground, Place
from bench.mails import undecided
from bench.rounds import by_turns

ROUNDS, LONGEST_S = 3, 6.0
GOOD, FAILED = 40_000, 10_000  # a round; each failure is the first of its job
GOOD_TARGET, FAILED_TARGET = at_least(6_000, 10_000), at_least(1_500, 3_000)


def measure(grounds: list[Ground]) -> Iterator[Claim]:
    """Deciding alone, with a backlog that was there before: good events and failures on both databases, by turns."""
    contenders, targets = {}, dict[str, Target]()
    for ground in grounds:
        for name, events, target in (("good events", GOOD, GOOD_TARGET), ("failures", FAILED, FAILED_TARGET)):
            place = ground.place()
            add_jobs(ground, place, AGENTS, JOBS)
            settle(ground, place)
            title = f"{ground.name}: decide, {name}"
            firsts = itertools.count(0, events)
            contenders[title] = partial(_round, ground, place, firsts, events, failed=target is FAILED_TARGET)
            targets[title] = target
    for title, figure in by_turns(contenders, rounds=ROUNDS).items():
        yield Claim(title, figure, "/s", target=targets[title])


def _round(ground: Ground, place: Place, firsts: Iterator[int], events: int, *, failed: bool) -> float:
    first = next(firsts)
    add_backlog(ground, place, first, first + events, failed=failed)
    before = undecided(ground, place)
    took = uvloop.run(_decide(place))
    return (before - undecided(ground, place)) / took


async def _decide(place: Place) -> float:
    """Decide until nothing is left, for some seconds at most; return the seconds."""
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    settings = place.settings(log_level="warning")
    set_up_log(settings)
    database = Database(open_engines(settings))
    context = AppContext(settings, database, Wakeups(), Secret(SECRET), now)
    begun = time.monotonic()
    while await decide.tick(context) and time.monotonic() - begun < LONGEST_S:
        pass
    took = time.monotonic() - begun
    await database.close()
    return took
