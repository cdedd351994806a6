"""Claim: when a storage fails and a thousand jobs with it, their reports are taken within a second, and everybody concerned hears of it at once."""

import itertools
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial

from bench.alertmanager import alert_body, alertmanager
from bench.burst import post_burst, request
from bench.claim import Claim, Figure, at_most
from bench.ground import Ground, Process, running
from bench.mails import Mails, add_customers, failure, mailing_service
from bench.rounds import by_turns

CUSTOMERS, EACH, ROUNDS = 50, 20, 3
LONGEST_S = 90.0
_PEER = "Alertmanager"
_rounds = itertools.count(1)


@dataclass(frozen=True, slots=True)
class _Storm:
    """Seconds from the first POST: until the last was answered, until the first mail, and until each customer's first mail."""

    posts: float
    first: float
    all_customers: float


def measure(grounds: list[Ground]) -> Iterator[Claim]:
    """1 000 failures over 50 connections: with the default route, on a new service each round; then a mail each, next to Alertmanager."""
    with running("bench.sink", "1", shown=True) as sink:
        mails = Mails(sink)
        storms: dict[str, list[_Storm]] = {ground.name: [] for ground in grounds}
        for _ in range(ROUNDS):
            for ground in grounds:
                storms[ground.name].append(_by_default(ground, sink, mails))
        for name, seen in storms.items():
            posts, first, last = (Figure(tuple(getattr(one, field) for one in seen)) for field in _Storm.__slots__)
            title = f"{name}: {CUSTOMERS * EACH:,} failures at once, {CUSTOMERS} customers:"
            yield Claim(f"{title} all POSTs", posts, "s", target=at_most(1, 0.5))
            yield Claim(f"{title} first mail", first, "s", target=at_most(0.1, 0.05))
            yield Claim(f"{title} a mail to each", last, "s", target=at_most(0.7, 0.35))
        with ExitStack() as stack:
            peer = stack.enter_context(alertmanager(sink))
            contenders = {_PEER: partial(_a_mail_each, peer, mails, [""] * CUSTOMERS)}
            for ground in grounds:
                _, server = stack.enter_context(mailing_service(ground, sink))
                keys = add_customers(server, CUSTOMERS, "acme")
                contenders[ground.name] = partial(_a_mail_each, server, mails, keys)
            score = by_turns(contenders, rounds=ROUNDS)
        for ground in grounds:
            title = f"{ground.name}: {CUSTOMERS * EACH:,} failures at once, a mail each / Alertmanager"
            yield Claim(title, score[ground.name], "s", score[_PEER], at_most(3, 1.6))


def _by_default(ground: Ground, sink: Process, mails: Mails) -> _Storm:
    mark = f"c{next(_rounds)}"
    with mailing_service(ground, sink, one_mail_each=False) as (_, server):
        keys = add_customers(server, CUSTOMERS, mark)
        known = len(mails.subjects)
        burst = post_burst(server.port, _requests(keys, mark))
        names = {f"{mark}-{number:03d}" for number in range(CUSTOMERS)}

        def firsts() -> dict[str, float]:
            found: dict[str, float] = {}
            for moment, subject in mails.subjects[known:]:
                for name in names:
                    if name in subject:
                        found.setdefault(name, moment)
            return found

        if not mails.wait_for(lambda _: len(firsts()) == CUSTOMERS, LONGEST_S):
            raise RuntimeError(
                f"{ground.name}: {len(firsts())} of {CUSTOMERS} customers had a mail: {mails.subjects[-1:]}"
            )
        moments = firsts().values()
    return _Storm(burst.seconds, min(moments) - burst.began, max(moments) - burst.began)


def _a_mail_each(server: Process, mails: Mails, keys: list[str]) -> float:
    mark = f"e{next(_rounds)}"
    burst = post_burst(server.port, _requests(keys, mark))
    jobs = {f"job-{mark}-{customer:02d}-{one:02d}" for customer in range(CUSTOMERS) for one in range(EACH)}
    if not mails.wait_for(lambda seen: jobs <= seen.moments.keys(), LONGEST_S):
        missing = len(jobs - mails.moments.keys())
        raise RuntimeError(f"{missing} of {len(jobs)} failures had no mail within {LONGEST_S} s")
    return max(mails.moments[job] for job in jobs) - burst.began


def _requests(keys: list[str], mark: str) -> list[list[bytes]]:
    """Return the requests of one connection a customer."""
    return [
        [
            request("/v1/events", failure(job, f"{mark}-host-{customer:02d}"), key)
            if key
            else request("/api/v2/alerts", alert_body(job, f"host-{customer:02d}"))
            for job in (f"job-{mark}-{customer:02d}-{one:02d}" for one in range(EACH))
        ]
        for customer, key in enumerate(keys)
    ]
