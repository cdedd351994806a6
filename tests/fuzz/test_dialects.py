"""Whatever bytes a tool sends, each dialect returns events that can be stored, or a warning. It never fails and never takes long.

`make fuzz` runs each dialect for a minute. A new dialect needs one line in `DIALECTS`.
"""

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.intake.dialects import (
    alertmanager,
    apprise,
    backrest,
    borg,
    cloudevents,
    cronhub,
    cronitor,
    duplicati,
    gotify,
    healthchecks,
    kopia,
    loki,
    mail,
    ntfy,
    pagerduty,
    proxmox,
    pushover,
    restic,
    resticprofile,
    sentry_cron,
    synology,
    uptime_kuma,
    zabbix,
)
from app.intake.dialects.make_event import attribute_to_sender, make_unreadable_event
from app.intake.dialects.tool_request import Dialect, NotUnderstood, ToolRequest
from app.intake.validate import Sender, resolve_agent_name, validate_event
from tests.support import corpus
from tests.support.examples import examples

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
# Each dialect, and the family of the corpus whose bodies are altered for it.
DIALECTS: dict[str, tuple[Dialect, str]] = {
    "alertmanager": (alertmanager.read, "alertmanager"),
    "apprise": (apprise.read, "apprise"),
    "backrest": (backrest.read, "backrest"),
    "borg": (borg.read, "borg"),
    "cloudevents": (cloudevents.read, "cloudevents"),
    "cronhub": (cronhub.read, "cronhub"),
    "cronitor": (cronitor.read, "cronitor"),
    "duplicati": (duplicati.read, "duplicati"),
    "gotify": (gotify.read, "gotify"),
    "healthchecks": (healthchecks.read, "healthchecks"),
    "kopia": (kopia.read, "kopia"),
    "loki": (loki.read, "loki"),
    "mail": (mail.read, "healthchecks"),
    "ntfy": (ntfy.read, "ntfy"),
    "pagerduty": (pagerduty.read, "pagerduty"),
    "proxmox": (proxmox.read, "proxmox"),
    "pushover": (pushover.read, "pushover"),
    "restic": (restic.read, "restic"),
    "resticprofile": (resticprofile.read, "resticprofile"),
    "sentry": (sentry_cron.read, "sentry"),
    "synology": (synology.read, "ntfy"),
    "uptime-kuma": (uptime_kuma.read, "uptime-kuma"),
    "zabbix": (zabbix.read, "zabbix"),
}
NUMBERS = st.one_of(
    st.integers(),
    st.floats(),
    st.sampled_from(["9" * 5000, "1e999", "-0", "NaN", "\u0663", "1_0", "0x10", "1795394301.012057"]),
)
# A dialect that is slow for one of these delays every agent that waits behind the request.
REPEATED_PIECES = [b"E /", b"E ", b": open: [Errno 1", b"a ", b"\n", b"(", b"<", b"<b", b'Task: plan "', b"Event: a", b"rsync: [", b"ok no 0 ",
        b'{"a":', b"[", b"{\n", b"[\n", b"%e2%80", b"=?utf-8?q?", b"Subject: [", b"2026-11-23 00:00:00", b"\xff\xfe", b"\x00", "ß".encode("utf-16-le")]  # fmt: skip
MAX_CPU_S = 15


@cache
def bodies(family: str) -> list[bytes]:
    """Return the bodies of a family of the corpus, and its addresses."""
    recordings = corpus.recordings(family)
    recorded = [recording.body[:4096] for recording in recordings if recording.body]
    return [*recorded, *(recording.head.split(b" ")[1] for recording in recordings), b""]


@st.composite
def altered_bodies(draw: st.DrawFn, family: str) -> bytes:
    """Draw a recorded body in which one piece is replaced."""
    body = draw(st.sampled_from(bodies(family)))
    start, end = sorted(draw(st.tuples(*[st.integers(0, len(body))] * 2)))
    piece = draw(
        st.one_of(
            st.binary(max_size=20), NUMBERS.map(lambda number: str(number).encode()), st.sampled_from(REPEATED_PIECES)
        )
    )
    return body[:start] + piece + body[end:]


WORDS = st.one_of(
    st.text(max_size=30),
    NUMBERS.map(str),
    st.sampled_from([
        "start", "fail", "log", "0", "256", "run", "complete", "ok", "finish", "ping", "in_progress", "error", "up", "down", "\ufffd", "\u202e",
    ]),
)  # fmt: skip
NAMES = st.one_of(
    st.text(max_size=10),
    st.sampled_from([
        "rid", "create", "status", "msg", "ping", "state", "series", "stamp", "metric", "duration", "host", "env", "job", "agent",
        "check_in_id", "exit_code", "activity",
    ]),
)  # fmt: skip
HEADERS = (
    "content-type", "content-encoding", "ce-id", "ce-source", "ce-type", "ce-specversion", "ce-time", "title", "x-message", "tags",
    "priority",
)  # fmt: skip
# Names that a dialect reads in JSON. They get values of any type, so that a wrong type is met too.
JSON_NAMES = st.sampled_from([
    "alerts", "status", "labels", "annotations", "alertname", "fingerprint", "startsAt", "severity", "truncatedAlerts", "archive",
    "repository", "stats", "duration", "type", "levelname", "path", "message_type", "summary", "error", "item", "code", "keep",
    "specversion", "id", "source", "data", "data_base64", "subject", "time", "title", "message", "tags", "topic", "priority", "profile",
    "command", "exitCode", "Data", "Extra", "streams", "values",
])  # fmt: skip
JSON_VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, st.text(max_size=10), st.sampled_from(
        ["summary", "exit_error", "log_message", "file_status", "ERROR", "1.0", "resolved", "2026-11-23T01:00:00Z", "E"]
    )),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(JSON_NAMES, inner, max_size=5)),
    max_leaves=12,
)  # fmt: skip


def requests(family: str) -> st.SearchStrategy[ToolRequest]:
    """Return a strategy for any request."""
    return st.builds(
        ToolRequest,
        path=st.lists(WORDS, max_size=4).map(tuple),
        query=st.lists(st.tuples(NAMES, WORDS), max_size=6),
        headers=st.fixed_dictionaries({}, optional=dict.fromkeys(HEADERS, WORDS)),
        body=st.one_of(
            altered_bodies(family), st.binary(max_size=400), JSON_VALUES.map(lambda value: json.dumps(value).encode())
        ),
        job=st.one_of(st.none(), WORDS),
    )


def check(tool: str, dialect: Dialect, request: ToolRequest) -> None:
    """Read a request and validate its events as intake does. A bug raises its own error here."""
    try:
        events = dialect(request)
    except NotUnderstood as cause:
        events = [make_unreadable_event(tool, request, str(cause))]
    for sender in (Sender("cus_1"), Sender("cus_1", "agt_1", "nas01")):
        for event in events:
            attributed = attribute_to_sender(event, tool, sender.agent)
            row = validate_event(attributed, "cus_1", "agt_1", resolve_agent_name(attributed, sender), NOW, 64 * 1024)
            assert len(row.log or "") <= 64 * 1024
            for text in (row.job, row.run, row.message, row.log, row.labels, row.metrics):
                assert text is None or "\0" not in text.encode().decode()


@pytest.mark.parametrize("tool", DIALECTS)
def test_any_request_becomes_events_that_can_be_stored(tool: str, fuzz_s: float):
    dialect, family = DIALECTS[tool]

    @settings(deadline=None, suppress_health_check=list(HealthCheck), max_examples=1000 if fuzz_s else examples(100))
    @given(request=requests(family))
    def check_one(request: ToolRequest) -> None:
        check(tool, dialect, request)

    run_repeatedly(check_one, fuzz_s)


@pytest.mark.slow
@pytest.mark.parametrize("tool", DIALECTS)
def test_a_long_request_is_read_in_limited_time(tool: str):
    dialect, _ = DIALECTS[tool]
    for piece in REPEATED_PIECES:
        for body in (piece * (200_000 // len(piece)), b"\n".join([piece * 50] * (200_000 // len(piece * 50)))):
            started = time.process_time()
            check(tool, dialect, ToolRequest(path=("log",), body=b"x\n" + body, job="daily"))
            check(tool, dialect, ToolRequest(query=[("status", "ok"), ("msg", body.decode("latin-1"))], body=body))
            assert time.process_time() - started < MAX_CPU_S, piece


def run_repeatedly(check_property: Callable[[], None], seconds: float) -> None:
    """Check a property once, or repeatedly until `seconds` have passed."""
    end = time.monotonic() + seconds
    check_property()
    while time.monotonic() < end:
        check_property()
