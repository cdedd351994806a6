"""A running service with the keys that the corpus uses, and what it makes of each request, as a row of a table.

`python -m tests.support.corpus_service FAMILY ...` writes the tables again, for review by a person, never to make a test pass.
"""

import json
import re
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from tests.support import corpus, corpus_native
from tests.support.corpus import Recording
from tests.support.running import Running, serving
from tests.support.sources import ROOT

EXPECTED = ROOT / "tests/corpus/expected"
COLUMNS = ("request", "answer", "events")
_MAX_TEXT = 70
_BY_KEY = (
    "alertmanager", "apprise", "backrest", "borg", "duplicati", "kopia", "ntfy", "restic", "resticprofile",
)  # fmt: skip
# Values that differ each time.
_CHANGING = (
    (re.compile(rb"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"), b"<uuid>"),
    (re.compile(rb"\d{4}-\d\d-\d\dT[\d:.+]{8,}"), b"<date>"),
    (re.compile(rb'"id":"[0-9a-f]{12}","time":\d+,"expires":\d+'), b'"id":"<id>"'),
)
# Keys in the addresses of recorded programs.
_LITERALS = {
    b"example-api-key": "CRONITOR_KEY",
    b"1f5e3410-254c-11e8-b61d-55875966d031": "CRONHUB_KEY",
    b"5f80ec": "SENTRY_KEY",
    b"d3x0c1": "CRONHUB_KEY",
}


@dataclass(slots=True)
class Listener:
    """The service under test. `values` fill the requests' placeholders; `seen` has the ids of events that are already in a row."""

    running: Running
    client: httpx.Client
    customer_id: str
    values: dict[str, str]
    names: dict[str, str] = field(default_factory=dict)
    seen: set[str] = field(default_factory=set)

    def row(self, recording: Recording) -> tuple[str, str, str]:
        """Send a request as often as its `repeat` says, and return its row of the table."""
        answers = []
        self.values["UNIX"] = str(int(time.time()))
        for _ in range(recording.times):
            head, body = corpus.fill(self._with_our_keys(recording), self.values)
            answers.append(corpus.send(self.running.url, head, body))
        answered = {f"{answer.status or 'closed'} {_show_body(answer.body)}".strip() for answer in answers}
        events = sorted(map(self._describe, self._new_events()))
        return recording.id, " / ".join(sorted(answered)), " | ".join(events) or "-"

    def _with_our_keys(self, recording: Recording) -> Recording:
        head, body = recording.head, recording.body
        for literal, name in _LITERALS.items():
            head = head.replace(literal, self.values[name].encode())
        if recording.family == "native":
            body = corpus_native.rename_fields(body, head)
        return Recording(recording.id, recording.meta, head, body)

    def _new_events(self) -> list[Mapping]:
        page = self._get("/v1/events", customer_id=self.customer_id, limit="200")["items"]
        new = [event["id"] for event in page if event["id"] not in self.seen and event["kind"] == "report"]
        self.seen.update(new)
        return [self._get(f"/v1/events/{event_id}") for event_id in reversed(new)]

    def _describe(self, event: Mapping) -> str:
        result = event["outcome"] or event["phase"] or "plain"
        parts = [f"{result} of {self._agent(event)}/{event['job'] or '-'}"]
        if event["activity"] != "backup":
            parts.append(event["activity"])
        if event["run"]:
            run = next((name for name, value in self.values.items() if value == event["run"]), event["run"])
            parts.append(f"run {_cut(run)}")
        if event["severity"] != {"failure": "error", "warning": "warning"}.get(event["outcome"], "info"):
            parts.append(event["severity"])
        if event["message"]:
            parts.append(repr(_cut(event["message"])))
        if event["log"]:
            last = event["log"].rstrip().rpartition("\n")[2]
            parts.append(f"log of {len(event['log'].splitlines())} lines, last {_cut(last)!r}")
        parts += [f"{name}={value:g}" for name, value in sorted((event["metrics"] or {}).items())]
        host = (event["labels"] or {}).get("host")
        parts += [f"host {host}"] if host else []
        expects = (event["extra"] or {}).get("expects")
        parts += [f"next {expects['next']}"] if expects else []
        parts += [f"flags {' '.join(event['flags'])}"] if event["flags"] else []
        return _show_invisible("; ".join(parts))

    def _agent(self, event: Mapping) -> str:
        agent = event["agent_id"]
        if agent not in self.names:
            self.names[agent] = self._get(f"/v1/agents/{agent}")["name"]
        return self.names[agent]

    def _get(self, path: str, **query: str) -> dict:
        answer = self.client.get(path, params=query)
        answer.raise_for_status()
        return answer.json()


@contextmanager
def listening(running: Running) -> Iterator[Listener]:
    """Listen to one family of requests: for a new customer with an agent, nas01, and the keys of the corpus."""
    admin = {"Authorization": f"Bearer {running.admin_key}"}
    with httpx.Client(base_url=running.url, headers=admin, timeout=30) as client:
        customer_id = _made(client, "/v1/customers", name=f"customer {uuid.uuid4()}")["id"]
        yield Listener(running, client, customer_id, values_of(running, client, customer_id))


def _made(client: httpx.Client, path: str, **fields: object) -> dict:
    return client.post(path, json=fields).raise_for_status().json()


def values_of(running: Running, client: httpx.Client, customer_id: str) -> dict[str, str]:
    """Create the keys, and return the value of each placeholder: keys, run ids, and the address of each tool's endpoint."""
    agent = _made(client, "/v1/agents", customer_id=customer_id, name="nas01")["id"]

    def key(form: str, job: str | None) -> str:
        return str(
            _made(client, "/v1/keys", kind="agent", name=f"{form} {job}", agent_id=agent, form=form, job=job)["key"]
        )

    token = str(_made(client, "/v1/keys", kind="enrol", name="all hosts", customer_id=customer_id)["key"])
    return {
        "HOST": running.url.rpartition("/")[2],
        **{f"RID{number}": str(uuid.uuid4()) for number in range(1, 10)},
        "PING": key("uuid", "daily"),
        "PINGKEY": key("token", None),
        "SLUG": "nas01-daily",
        "PUSH": key("token", "daily"),
        "TOKEN": token,
        "CRONITOR_KEY": key("token", None),
        "CRONHUB_KEY": key("uuid", "daily"),
        "SENTRY_KEY": key("token", None),
        "HC": "/ping",
        "UK": "/api/push",
        "EVENTS": "/v1/events",
        "GOTIFY": "/gotify",
        "CE": "/in/cloudevents",
        "CRONITOR": "/in/cronitor",
        "CRONHUB": "/in/cronhub",
        "ZABBIX": f"/in/zabbix/{token}/api_jsonrpc.php",
        "PVE": f"/in/proxmox/{token}",
        "PUSHOVER": f"/in/pushover/{token}/1/messages.json",
        "PAGERDUTY": f"/in/pagerduty/{token}/v2/enqueue",
        "LOKI": f"/in/loki/{token}/loki/api/v1/push",
        **{tool.upper(): f"/in/{tool}/{token}" for tool in _BY_KEY},
    }


def table_of(family: str) -> list[tuple[str, ...]]:
    """Return the reviewed table of a family."""
    lines = (EXPECTED / f"{family}.tsv").read_text(encoding="utf-8").splitlines()
    return [tuple(line.split("\t")) for line in lines[1:]]


def _show_body(body: bytes) -> str:
    for pattern, shown in _CHANGING:
        body = pattern.sub(shown, body)
    try:
        found = json.loads(body)
    except ValueError:
        return _cut(body.decode("utf-8", "replace"))
    return str(found["code"]) if isinstance(found, dict) and "detail" in found else _cut(body.decode())


def _show_invisible(text: str) -> str:
    """Replace invisible characters, so that a row is one line and hides nothing."""
    return "".join(char if char.isprintable() else f"<{ord(char):X}>" for char in text)


def _cut(text: str) -> str:
    text = re.sub(r"[\s\x00-\x1f]+", " ", text).strip()
    return text if len(text) <= _MAX_TEXT else f"{text[:_MAX_TEXT]}… ({len(text)})"


def _write(families: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder, serving(Path(folder)) as running:
        for family in families:
            with listening(running) as listener:
                rows = [COLUMNS, *(listener.row(recording) for recording in corpus.recordings(family))]
            text = "".join("\t".join(row) + "\n" for row in rows)
            (EXPECTED / f"{family}.tsv").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    _write(sys.argv[1:])
