"""Claim: the first byte of each page, and of what programs read, with 100 000 jobs, 1 000 open alerts and 20 000 messages."""

import re
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass

import httpx

from bench.claim import Claim, Figure, at_most
from bench.fleet import JOBS, add_history, add_rows
from bench.ground import ADMIN_KEY, Ground, Place

HISTORY, MESSAGES, RUNS_OF_ONE = 100_000, 20_000, 400
ASKED, COLD_EACH, KEPT_S = 20, 4, 3.2
FIRST_BYTE_MS, SIZE_KB = 100, 150
_ONE = 100  # a job that failed, with an open alert
_MESSAGES = (
    "INSERT INTO messages (id, customer_id, recipient_id, transport, place, address, state, urgency, is_alert, subject, message_id, "
    "created_at, due_at, move_on_at, give_up_at, attempts, maybe_sent, why, settled_at) {series} SELECT 'msg_' || n, {customer}, "
    "(SELECT min(id) FROM recipients), 'smtp', 0, 'admin@example.org', CASE n % 50 WHEN 0 THEN 'dead' ELSE 'sent' END, 1, "
    "CAST(1 AS boolean), 'Failed: nightly-' || n, '<' || n || '@example.org>', {old}, {old}, {old}, {old}, 1, CAST(0 AS boolean), "
    "'the server refused it', {old} FROM series"
)
_ATTEMPTS = (
    "INSERT INTO attempts (id, message_id, number, holder, token, started_at, ended_at, outcome, code, text) {series} SELECT 'att_' || n, "
    "'msg_' || n, 1, 'worker', 'token', {old}, {old}, CASE n % 50 WHEN 0 THEN 'permanent' ELSE 'sent' END, "
    "CASE n % 50 WHEN 0 THEN '55' || (n % 9) ELSE '250' END, 'answer of the server' FROM series"
)
_NOTICES = (
    "INSERT INTO notices (id, customer_id, recipient_id, alert_id, what, state, reason, due_at, group_key, urgency, message_id, dedupe, "
    "created_at) {series} SELECT 'ntc_' || n, {customer}, (SELECT min(id) FROM recipients), 'alr_' || (n % 10000), 'opened', 'worded', "
    "'a route', {old}, 'key-' || n, 1, 'msg_' || n, 'dedupe-' || n, {old} FROM series"
)
_RUNS_OF_JOB = (
    "INSERT INTO runs (id, customer_id, job_id, run_key, started_at, ended_at, heard_at, outcome, severity) {series} "
    f"SELECT 'run_of_' || n, {{customer}}, 'job_{_ONE}', 'of-' || n, {{now}}, {{now}}, {{now}}, 'success', 'info' FROM series"
)


@dataclass(frozen=True, slots=True)
class _Page:
    """`is_counted`: it rests on counts that are kept for three seconds. `most_kb` None: it is an export of all jobs, of any size and length."""

    path: str
    is_counted: bool = False
    most_kb: int | None = SIZE_KB
    asked: int = ASKED


_PAGES = (
    _Page("/jobs"),
    _Page("/jobs?state=failed"),
    _Page("/jobs?q=nightly-99999"),
    _Page(f"/job/job_{_ONE}"),
    _Page("/alerts"),
    _Page("/alerts?tab=closed"),
    _Page("/messages"),
    _Page("/messages?state=dead"),
    _Page("/proof/msg_5"),
    _Page("/proof/evt_5"),
    _Page("/routing"),
    _Page("/connect"),
    _Page("/relays"),
    _Page("/service"),
    _Page("/service/audit"),
    _Page("/people"),
    _Page("/v1/status", is_counted=True),
    _Page("/v1/jobs"),
    _Page("/metrics", is_counted=True),
    _Page("/metrics/jobs", most_kb=None, asked=3),
)


def add_pages(ground: Ground, place: Place) -> None:
    """Add what these pages show and Now does not: events, runs, closed alerts, messages with their attempts and notices."""
    add_rows(ground, place, _RUNS_OF_JOB, 0, RUNS_OF_ONE)
    for statement in (_MESSAGES, _ATTEMPTS, _NOTICES):
        add_rows(ground, place, statement, 0, MESSAGES)
    add_history(ground, place, 0, HISTORY)


def measure_pages(ground: Ground, person: httpx.Client, token: str) -> Iterator[Claim]:
    """Ask for each page several times. `person` is signed in; `token` is that of a form, with which a wall is made."""
    wall = {"csrf": token, "name": "Wall", "kind": "wall", "sees": "all", "lasts": "30"}
    made = person.post("/service/links", data={**wall, "shows": ["counts", "customers", "jobs"]})
    link = re.search(r"(/wall/[\w.-]+)", made.text)
    if link is None:
        raise RuntimeError("the page of share links shows no address")
    with httpx.Client(
        base_url=person.base_url, timeout=120, headers={"Authorization": f"Bearer {ADMIN_KEY}"}
    ) as program:
        for page in (_Page(link[1], is_counted=True), *_PAGES):
            is_for_programs = page.path.startswith(("/v1", "/metrics"))
            yield from _measured(ground, program if is_for_programs else person, page)


def _measured(ground: Ground, client: httpx.Client, page: _Page) -> Iterator[Claim]:
    waits, size = [], 0
    client.get(page.path).raise_for_status()  # its templates are loaded, its statements are prepared
    for number in range(page.asked):
        if page.is_counted and number % COLD_EACH == 0:
            time.sleep(KEPT_S)
        began = time.perf_counter()
        with client.stream("GET", page.path) as answer:
            parts = answer.iter_raw()
            first = next(parts)
            waits.append((time.perf_counter() - began) * 1000)
            size = len(first) + sum(len(part) for part in parts)
            answer.raise_for_status()
    shown = "/wall/..." if page.path.startswith("/wall/") else page.path
    name = f"{ground.name}, {JOBS:,} jobs: {shown}"
    p95 = statistics.quantiles(waits, n=20, method="inclusive")[18]
    is_export = page.most_kb is None
    yield Claim(f"{name}, first byte, p50", Figure.of(statistics.median(waits)), "ms")
    yield Claim(f"{name}, first byte, p95", Figure.of(p95), "ms", target=None if is_export else at_most(FIRST_BYTE_MS))
    limit = None if page.most_kb is None else at_most(page.most_kb)
    yield Claim(f"{name}, size", Figure.of(size / 1000), "kB", target=limit)
