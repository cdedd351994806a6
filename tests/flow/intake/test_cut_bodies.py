"""Requests whose body breaks off: shorter than declared, or with a chunk that is none. What came is kept, and proves no success."""

import json
import socket
from collections.abc import Iterator
from contextlib import suppress

import pytest

from tests.support.running import CLIENT, Running, serving, wait_until

SHORT, CHUNK = "Content-Length: 5000", "Transfer-Encoding: chunked"
RESTIC = '{"message_type":"summary","files_new":1,"snapshot_id":"1a2b3c4d"}'
# address after the tool's prefix, body, the outcome although the body broke off
CASES = [
    ("POST /ping/{}/{job}", "all is well so", "success"),  # the address says it
    ("POST /ping/{}/{job}/fail", "disk fu", "failure"),
    ("POST /ping/{}/{job}/0", "all is well so", "success"),
    ("PUT /ping/{}/{job}/3", "disk fu", "failure"),
    ("POST /in/restic/{}?job={job}&exit_code=0", RESTIC, "success"),
    ("POST /in/restic/{}?job={job}", RESTIC, "unclear"),
    ("POST /in/borg/{}?job={job}&exit_code=2", "", "failure"),
    ("POST /api/push/{}?status=up&job={job}", '{"msg"', "success"),
    ("POST /api/push/{}?job={job}", '{"status": "do', "unclear"),
    ("POST /in/ntfy/{}/{job}", "Backup successful", "unclear"),
    ("POST /in/ntfy/{}/{job}", "Backup failed: disk fu", "failure"),
    ("POST /in/apprise/{}?job={job}", '{"title": "Backup succ', "unclear"),
    ("POST /in/duplicati/{}?job={job}", '{"Data": {"ParsedResult": "Succ', "unclear"),
    ("POST /in/kopia/{}?job={job}", "Path: /srv\n\n  Status:      success\n  Start", "unclear"),
    ("POST /in/cloudevents/{}?job={job}", '{"specversion": "1.0", "id": "1", "source": "/x", "type": "backup.succeeded"', "unclear"),
]  # fmt: skip


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with serving(tmp_path_factory.mktemp("cut") / "var") as running:
        yield running


def send_and_break_off(service: Running, line: str, length: str, body: bytes) -> None:
    host, _, port = service.url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        head = f"{line} HTTP/1.1\r\nHost: tocsin\r\nConnection: close\r\n{length}\r\n\r\n"
        packed = (
            b"%x\r\n%s\r\nZZZ\r\n" % (len(body), body)
            if length == CHUNK and body
            else b"ZZ\r\n"
            if length == CHUNK
            else body
        )
        connection.sendall(head.encode() + packed)
        if length.endswith(SHORT):
            connection.shutdown(socket.SHUT_WR)
        # A server that closes before it has read the whole of a bad body resets the connection.
        with suppress(ConnectionResetError):
            while connection.recv(4096):
                pass


@pytest.mark.parametrize("length", [SHORT, CHUNK], ids=["short", "bad chunk"])
@pytest.mark.parametrize(
    ("number", "case"), list(enumerate(CASES)), ids=[f"{case[0]} {case[1][:20]}" for case in CASES]
)
def test_what_came_is_kept_and_proves_no_success(
    service: Running, length: str, number: int, case: tuple[str, str, str]
):
    line, body, outcome = case
    job = f"job{number}{'s' if length == SHORT else 'c'}"
    send_and_break_off(service, line.replace("{job}", job).format(service.enrol_key), length, body.encode())
    found = wait_until(
        "the event", lambda: [one for one in service.ask("/v1/events", limit=200)["items"] if one["job"] == job]
    )
    assert [(one["outcome"], "body_cut" in (one["flags"] or [])) for one in found] == [(outcome, True)]


def test_what_came_is_kept_while_the_key_is_looked_up(service: Running):
    """The key of this tool was not used before, so the database is asked for it while the connection is closed."""
    customer = service.ask("/v1/customers")["items"][0]["id"]
    answer = CLIENT.post(
        f"{service.url}/v1/keys",
        json={"kind": "enrol", "name": "fresh", "customer_id": customer},
        headers={"Authorization": f"Bearer {service.admin_key}"},
    )
    key = answer.json()["key"]
    send_and_break_off(service, f"POST /in/ntfy/{key}/fresh", CHUNK, b"Backup failed: disk fu")
    found = wait_until(
        "the event", lambda: [one for one in service.ask("/v1/events", limit=200)["items"] if one["job"] == "fresh"]
    )
    assert found[0]["outcome"] == "failure"


def test_our_own_format_asks_for_the_events_again(service: Running):
    body = json.dumps({"agent": "a", "job": "own", "outcome": "failure"}).encode()
    line = "POST /v1/events"
    send_and_break_off(
        service, line, f"Authorization: Bearer {service.enrol_key}\r\nContent-Type: application/json\r\n{SHORT}", body
    )
    assert [one for one in service.ask("/v1/events", limit=200)["items"] if one["job"] == "own"] == []
