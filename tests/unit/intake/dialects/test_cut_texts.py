"""However long a request is, trouble anywhere in it keeps it from being read as a success."""

import json

import pytest

from app.intake.accept import MAX_DIALECT_EVENTS, run_dialect
from app.intake.dialects import (
    apprise,
    cloudevents,
    duplicati,
    gotify,
    kopia,
    loki,
    mail,
    ntfy,
    pushover,
    synology,
    uptime_kuma,
    zabbix,
)
from app.intake.dialects.tool_request import ToolRequest

BAD = ["ERROR: copy of orders failed", "Kopie von orders fehlgeschlagen", "could not read /srv/orders"]
MAIL = b"From: a@b.example\r\nSubject: Backup report\r\n"


def text_of(lines: int, bad: str, place: float) -> str:
    """Return the log of a success with one bad line in it."""
    log = [f"sent file x{number}.dat 10 MB" for number in range(lines)]
    log.insert(int(lines * place), bad)
    return "\n".join(["Backup completed successfully.", *log, "Backup completed successfully."])


def form_of(text: str) -> bytes:
    return ("title=Backup&message=" + text.replace(" ", "+").replace("\n", "%0A")).encode()


REQUESTS = {
    "ntfy": (ntfy, lambda text: ToolRequest(path=["topic"], body=text.encode())),
    "gotify": (gotify, lambda text: ToolRequest(body=json.dumps({"title": "Backup", "message": text}).encode())),
    "gotify form": (gotify, lambda text: ToolRequest(body=form_of(text))),
    "pushover": (pushover, lambda text: ToolRequest(body=json.dumps({"title": "Backup", "message": text}).encode())),
    "pushover form": (pushover, lambda text: ToolRequest(body=form_of(text))),
    "apprise": (apprise, lambda text: ToolRequest(body=json.dumps({"title": "Backup", "message": text}).encode())),
    "apprise text": (apprise, lambda text: ToolRequest(body=text.encode())),
    "synology": (synology, lambda text: ToolRequest(body=text.encode())),
    "duplicati": (duplicati, lambda text: ToolRequest(body=text.encode())),
    "mail": (mail, lambda text: ToolRequest(body=MAIL + b"\r\n" + text.encode())),
    "mail in HTML": (
        mail,
        lambda text: ToolRequest(
            body=MAIL + b"Content-Type: text/html\r\n\r\n<p>" + text.replace("\n", "<br>").encode()
        ),
    ),
    "cloudevents": (
        cloudevents,
        lambda text: ToolRequest(
            body=json.dumps(
                {"specversion": "1.0", "id": "1", "source": "/h", "type": "backup.ended", "data": text}
            ).encode(),
            headers={"content-type": "application/cloudevents+json"},
        ),
    ),
}


def read(tool, request: ToolRequest):
    return run_dialect(tool.__name__.rpartition(".")[2], tool.read, request)


@pytest.mark.parametrize("carrier", REQUESTS)
@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize(
    ("lines", "place"), [(500, 0.9), (4_000, 0.3), pytest.param(60_000, 0.99, marks=pytest.mark.slow)]
)
def test_trouble_anywhere_in_a_long_text_keeps_it_from_being_a_success(
    carrier: str, bad: str, lines: int, place: float
):
    tool, request_of = REQUESTS[carrier]
    (event,) = read(tool, request_of(text_of(lines, bad, place)))
    assert event.get("outcome") in {"failure", "warning", "unclear"}


@pytest.mark.parametrize("carrier", REQUESTS)
def test_a_long_text_without_trouble_is_a_success(carrier: str):
    tool, request_of = REQUESTS[carrier]
    (event,) = read(tool, request_of(text_of(4_000, "sent file y.dat 10 MB", 0.5)))
    assert event.get("outcome") == "success"


def test_a_failure_among_many_values_results_or_streams_is_reported():
    pushed = [{"host": "h", "key": f"k{n}", "value": "ERROR" if n == 150 else "OK"} for n in range(200)]
    call = json.dumps({"method": "history.push", "params": pushed}).encode()
    assert ("k150", "failure") in [(e.get("job"), e.get("outcome")) for e in read(zabbix, ToolRequest(body=call))]
    report = "".join(f"Path: /d{n}\nStatus: {'error' if n > 1000 else 'success'}\n\n" for n in range(1_100))
    found = read(kopia, ToolRequest(body=report.encode()))
    assert sum(event.get("outcome") == "failure" for event in found) == 99
    assert len(found) == MAX_DIALECT_EVENTS + 1
    streams = [{"stream": {"job": f"j{n}"}, "values": [["1", f"error: disk {n} failed"]]} for n in range(30)]
    assert len(read(loki, ToolRequest(body=json.dumps({"streams": streams}).encode()))) == 30


def test_a_push_whose_status_is_in_a_body_that_is_too_long_is_no_success():
    body = json.dumps({"status": "down", "msg": "x" * 100_000}).encode()
    (event,) = read(uptime_kuma, ToolRequest(body=body))
    assert event.get("outcome") == "unclear"
