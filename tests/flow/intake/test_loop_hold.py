"""Whatever one sender sends, the event loop is held for at most 50 ms of CPU time, and /healthz answers meanwhile."""

import random
import re
import smtplib
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from tests.fuzz.test_dialects import REPEATED_PIECES
from tests.support import bombs, corpus
from tests.support.corpus_service import listening
from tests.support.cpu_noise import CPU_NOISE
from tests.support.loop_hold import HoldsInFile, serving_measured
from tests.support.ports import lasting_port
from tests.support.running import CLIENT, Running

HELD_MOST_S = 0.05 * CPU_NOISE
STARTED_S = 4.0  # the service loads its words two seconds after it started
WORKER = ("_decide_batch", "judge_events", "_fold")  # how much the worker takes at a time has tests of its own
ANSWERED_MOST_S = (
    5.0  # by the clock, on a machine that other tests keep busy; one of these mails stopped all answers for 25 s
)
WITHOUT_BODIES = ("cronhub", "cronitor", "sentry", "wire")  # families of the corpus
Service = tuple[Running, HoldsInFile, int]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    port = lasting_port()
    folder: Path = tmp_path_factory.mktemp("held")
    settings = {"TOCSIN_MAIL_IN_PORT": str(port), "TOCSIN_MAIL_IN_A_MINUTE": "10000"}
    with serving_measured(folder, **settings) as (running, holds):
        CLIENT.post(f"{running.url}/in/ntfy/{running.enrol_key}", content=b"x " * 5000, timeout=60)
        time.sleep(STARTED_S)
        holds.forget()
        yield running, holds, port


def check(service: Service, name: str) -> None:
    """Fail if something held the loop since the last check."""
    running, holds, _ = service
    CLIENT.get(f"{running.url}/healthz", timeout=60).raise_for_status()
    longest = holds.longest(without=WORKER)
    holds.forget()
    print(f"{name[:60]}: {longest.seconds * 1000:.0f} ms")  # noqa: T201  (shown with -s)
    assert longest.seconds <= HELD_MOST_S, f"{name}: {longest}"


@pytest.mark.slow
@pytest.mark.parametrize("family", corpus.FAMILIES)
def test_the_corpus_does_not_hold_the_loop(service: Service, family: str):
    with listening(service[0]) as listener:
        for recording in corpus.recordings(family):
            listener.row(recording)
    check(service, family)


@pytest.mark.slow
@pytest.mark.parametrize("family", [family for family in corpus.FAMILIES if family not in WITHOUT_BODIES])
def test_altered_requests_do_not_hold_the_loop(service: Service, family: str):
    """Send recorded requests in which a piece is replaced by one that is slow to read, as the fuzz tests do."""
    chance = random.Random(family)
    recorded = [one for one in corpus.recordings(family) if one.body]
    with listening(service[0]) as listener:
        listener.values["UNIX"] = str(int(time.time()))
        for piece in REPEATED_PIECES:
            recording = chance.choice(recorded)
            start, end = sorted(chance.choices(range(len(recording.body) + 1), k=2))
            body = recording.body[:start] + piece * (20_000 // len(piece)) + recording.body[end:]
            head, body = corpus.fill(replace(recording, body=body), listener.values)
            head = re.sub(rb"(?mi)^content-length:.*?\r\n", b"Content-Length: %d\r\n" % len(body), head)
            answer = corpus.send(service[0].url, head, body)
            assert answer.status is None or answer.status < 500, (recording.id, piece)
    check(service, family)


@pytest.mark.slow
def test_no_mail_holds_the_loop_and_none_is_lost_or_read_as_good(service: Service):
    running, _, port = service
    slowest = 0.0
    done = threading.Event()

    def ask() -> None:
        nonlocal slowest
        with httpx.Client(timeout=60) as client:
            while not done.wait(0.02):
                started = time.monotonic()
                client.get(f"{running.url}/healthz").raise_for_status()
                slowest = max(slowest, time.monotonic() - started)

    health_checks = threading.Thread(target=ask)
    health_checks.start()
    try:
        for name, mail in bombs.mails():
            with smtplib.SMTP("127.0.0.1", port, timeout=120) as client:
                client.sendmail("nas@example.org", f"{running.enrol_key}@tocsin", mail)
            (event,) = running.ask("/v1/events", limit="1")["items"]
            if name in ("nested", "headers", "one long header", "parts", "mails within mails"):
                assert event["outcome"] == "unclear", name
                assert event["message"] == "Backup finished successfully", name
            check(service, name)
    finally:
        done.set()
        health_checks.join()
    assert slowest < ANSWERED_MOST_S


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "body"), list(bombs.json_bodies()), ids=lambda value: value if isinstance(value, str) else ""
)
def test_no_json_holds_the_loop(service: Service, name: str, body: bytes):
    running = service[0]
    key = {"Authorization": f"Bearer {running.enrol_key}", "Content-Type": "application/json"}
    assert CLIENT.post(f"{running.url}/v1/events", content=body, headers=key, timeout=60).status_code < 500
    lines = b"\n".join(body.split(b","))
    ndjson = key | {"Content-Type": "application/x-ndjson"}
    assert CLIENT.post(f"{running.url}/v1/events", content=lines, headers=ndjson, timeout=60).status_code < 500
    check(service, name)


@pytest.mark.parametrize(("encoding", "body"), list(bombs.packed_bodies()), ids=["gzip", "zstd"])
def test_no_packed_body_holds_the_loop(service: Service, encoding: str, body: bytes):
    running = service[0]
    key = {"Authorization": f"Bearer {running.enrol_key}", "Content-Encoding": encoding}
    answer = CLIENT.post(f"{running.url}/v1/events", content=body, headers=key, timeout=60)
    assert answer.status_code == 413
    CLIENT.post(f"{running.url}/in/ntfy/{running.enrol_key}", content=body, headers=key, timeout=60)
    check(service, encoding)


@pytest.mark.slow
def test_no_request_of_a_tool_holds_the_loop(service: Service):
    running = service[0]
    too_long = []
    for path, content_type, body in bombs.tool_bodies():
        where = running.url + path.format(key=running.enrol_key, uuid=running.enrol_key)
        answer = CLIENT.post(where, content=body, headers={"Content-Type": content_type}, timeout=120)
        assert answer.status_code < 500
        try:
            check(service, f"{path} {body[:30]!r} {len(body)}")
        except AssertionError as cause:
            too_long.append(str(cause).partition("\n")[0])
    assert not too_long


@pytest.mark.slow
@pytest.mark.parametrize("first", ["a text of a tool", "an outcome in other words"])
def test_the_first_text_after_a_start_does_not_hold_the_loop(tmp_path: Path, first: str):
    """The words of all languages, which it needs, take most of a second to load."""
    with serving_measured(tmp_path) as (running, holds):
        holds.forget()
        if first == "a text of a tool":
            CLIENT.post(f"{running.url}/in/ntfy/{running.enrol_key}", content=b"Sicherung abgebrochen", timeout=60)
        else:
            key = {"Authorization": f"Bearer {running.enrol_key}"}
            event = {"agent": "sql01", "job": "nightly", "outcome": "abgebrochen"}
            CLIENT.post(f"{running.url}/v1/events", headers=key, json=event, timeout=60)
        longest = holds.longest(without=WORKER)
        assert running.ask("/v1/events", limit="1")["items"][0]["outcome"] in ("failure", "warning", "cancelled")
        assert longest.seconds <= HELD_MOST_S, longest
