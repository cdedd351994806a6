"""Claim: a failure behind 100 000 undecided good reports is at the mail server within a second."""

import itertools
import sys
import time
from collections.abc import Iterator
from functools import partial

import httpx

from bench.backlog import AGENTS, JOBS, add_backlog
from bench.claim import Claim, Figure, at_most
from bench.fleet import add_jobs, settle
from bench.ground import Ground, Place, Process, running
from bench.mails import ONE_MAIL_EACH, Mails, add_customers, failure, mail_settings, percentile, undecided
from bench.rounds import all_by_turns

BACKLOG, ROUNDS = 100_000, 2
RATE, FAILURES, WARM = 20, 200, 5  # a round: ten seconds, or until the backlog ends
LAST_MAIL_S = 120.0
_numbers = itertools.count(1)


def measure(grounds: list[Ground]) -> Iterator[Claim]:
    """Load the backlog while no worker runs, start the service, and let another customer's jobs fail while it decides."""
    with running("bench.sink", "1", shown=True) as sink:
        mails, contenders = Mails(sink), {}
        for ground in grounds:
            place = ground.place(**mail_settings(sink))
            ground.sql(place, ONE_MAIL_EACH)
            add_jobs(ground, place, AGENTS, JOBS)
            settle(ground, place)
            contenders[ground.name] = partial(_round, ground, place, sink, mails, itertools.count(0, BACKLOG))
        for name, rounds in all_by_turns(contenders, rounds=ROUNDS).items():
            title = f"{name}: a failure behind {BACKLOG:,} undecided, its mail,"
            p50, p99 = (Figure(tuple(percentile(waits, part) for waits in rounds)) for part in (0.5, 0.99))
            yield Claim(f"{title} p50", p50, "s")
            yield Claim(f"{title} p99", p99, "s", target=at_most(1, 0.3))


def _round(ground: Ground, place: Place, sink: Process, mails: Mails, firsts: Iterator[int]) -> list[float]:
    """Return the seconds from before each POST to the mail's 250."""
    first = next(firsts)
    if left := BACKLOG - undecided(ground, place):
        add_backlog(ground, place, first, first + left)
    posted: dict[str, float] = {}
    with running("app.cli", "serve", environment=place.environment(**mail_settings(sink))) as server:
        [key] = add_customers(server, 1, f"urgent-{first}")
        headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        with httpx.Client(base_url=f"http://127.0.0.1:{server.port}", headers=headers, timeout=60) as client:
            begun = time.monotonic()
            for number in range(WARM + FAILURES):
                time.sleep(max(0.0, begun + number / RATE - time.monotonic()))
                if number % RATE == 0 and undecided(ground, place) < BACKLOG // 20:
                    break
                job = f"job-{next(_numbers):06d}"
                posted[job] = time.monotonic()
                client.post("/v1/events", content=failure(job, f"host-{number % 20}")).raise_for_status()
        waiting = undecided(ground, place)
        if not mails.wait_for(lambda seen: posted.keys() <= seen.moments.keys(), LAST_MAIL_S):
            raise RuntimeError(f"{ground.name}: of {len(posted)} failures some had no mail within {LAST_MAIL_S} s")
    waits = [mails.moments[job] - at for job, at in posted.items()][WARM:]
    if len(waits) < FAILURES // 4:
        raise RuntimeError(f"{ground.name}: the backlog was gone after {len(waits)} failures: too few to measure")
    print(f"{ground.name}: {len(waits)} failures, {waiting} good reports still undecided after them", file=sys.stderr)
    return waits
