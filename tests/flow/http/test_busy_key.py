"""One key sends 100 000 names of jobs and bodies that arrive a byte at a time, beyond its budgets, while other customers report 50 times a second: all of these are served, and nothing holds the loop."""

import itertools
import json
import socket
import threading
import time
from pathlib import Path

import pytest

from tests.flow.http.test_strangers import NOT_OF_REQUESTS
from tests.support.cpu_noise import CPU_NOISE
from tests.support.loop_hold import serving_measured
from tests.support.running import CLIENT, Running

NAMES, IN_A_BODY, SLOW = 100_000, 1_000, 20
REPORTS, A_SECOND = 300, 50


def key_of_customer(service: Running, name: str) -> str:
    admin = {"Authorization": f"Bearer {service.admin_key}"}
    customer = CLIENT.post(f"{service.url}/v1/customers", json={"name": name}, headers=admin).raise_for_status().json()
    body = {"kind": "enrol", "name": name, "customer_id": customer["id"]}
    return str(CLIENT.post(f"{service.url}/v1/keys", json=body, headers=admin).raise_for_status().json()["key"])


def send_names(service: Running, stopping: threading.Event, statuses: list[int]) -> None:
    """Send all the names, as failures and successes in turn, then again from the start."""
    headers = {"Authorization": f"Bearer {service.enrol_key}"}
    for start in itertools.cycle(range(0, NAMES, IN_A_BODY)):
        if stopping.is_set():
            return
        events = [
            {"agent": "busy", "job": f"job {number}", "outcome": "failure" if number % 100 == 0 else "success"}
            for number in range(start, start + IN_A_BODY)
        ]
        statuses.append(CLIENT.post(f"{service.url}/v1/events", json=events, headers=headers).status_code)


def trickle(service: Running, stopping: threading.Event) -> None:
    """Send bodies a byte a second."""
    host, port = service.url.removeprefix("http://").split(":")
    body = json.dumps({"agent": "slow", "job": "slow", "outcome": "success"}).encode()
    head = f"POST /v1/events HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {service.enrol_key}\r\nContent-Type: application/json\r\n"
    lines = [socket.create_connection((host, int(port)), timeout=30) for _ in range(SLOW)]
    try:
        for line in lines:
            line.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode())
        for place in range(len(body)):
            if stopping.wait(1):
                return
            for line in lines:
                line.sendall(body[place : place + 1])
    finally:
        for line in lines:
            line.close()


@pytest.mark.slow
def test_a_key_beyond_its_budgets_leaves_the_others_served(tmp_path: Path) -> None:
    with serving_measured(tmp_path / "var") as (service, holds):
        keys = [key_of_customer(service, name) for name in ("bakery", "school")]
        statuses: list[int] = []
        stopping = threading.Event()
        attacks = [
            threading.Thread(target=send_names, args=(service, stopping, statuses)),
            threading.Thread(target=trickle, args=(service, stopping)),
        ]
        time.sleep(4)  # its words are loaded, once, two seconds after the start
        holds.forget()
        for attack in attacks:
            attack.start()
        try:
            others = []
            for number in range(REPORTS):
                event = {"agent": f"host {number % 20}", "job": "nightly", "outcome": "success"}
                headers = {"Authorization": f"Bearer {keys[number % 2]}"}
                others.append(CLIENT.post(f"{service.url}/v1/events", json=event, headers=headers).status_code)
                time.sleep(1 / A_SECOND)
        finally:
            stopping.set()
            for attack in attacks:
                attack.join()
        longest = holds.longest(without=NOT_OF_REQUESTS)
        print(f"{len(statuses)} bodies of names; longest hold {longest.seconds * 1000:.0f} ms")  # noqa: T201  (shown with -s)
        assert set(others) == {202}
        assert 429 in statuses, "beyond its budgets"
        assert set(statuses) <= {202, 429, 503}
        assert longest.seconds < 0.05 * CPU_NOISE, longest
