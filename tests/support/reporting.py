"""A service that sends its alerts to programs, and what a test does with it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.support.running import CLIENT, LOG, SERVE, Running, serving, wait_until


@dataclass(frozen=True, slots=True)
class PushingService:
    """A running service with one agent, `nas01`."""

    running: Running

    def send(self, method: str, path: str, body: object | None = None) -> httpx.Response:
        """Call the API as an administrator."""
        headers = {"Authorization": f"Bearer {self.running.admin_key}"}
        return CLIENT.request(method, f"{self.running.url}{path}", json=body, headers=headers)

    def add_recipient(self, transport: str, address: str, *, goes_on: bool = False, **options: object) -> None:
        """Make a recipient, to which all alerts go at once; `goes_on`: and to those that were made before."""
        to = {"transport": transport, "address": address, "options": options}
        made = self.send("POST", "/v1/recipients", {"name": f"{transport} {address}", "transports": [to]})
        assert made.is_success, made.text
        route = {"name": f"{transport} {address}", "position": 0, "recipients": [made.json()["id"]], "group_wait_s": 0}
        answer = self.send("POST", "/v1/routes", {**route, "group_interval_s": 1, "goes_on": goes_on})
        assert answer.is_success, answer.text

    def report(self, job: str, outcome: str, message: str = "the disk is full") -> None:
        """Report the end of a run."""
        headers = {"Authorization": f"Bearer {self.running.enrol_key}"}
        event = {"agent": "nas01", "job": job, "outcome": outcome, "message": message}
        CLIENT.post(f"{self.running.url}/v1/events", json=event, headers=headers, timeout=30).raise_for_status()

    def attempts(self, transport: str) -> list[dict]:
        """Return all attempts by a transport."""
        messages = self.running.ask("/v1/messages", transport=transport)["items"]
        return [one for message in messages for one in self.running.ask(f"/v1/messages/{message['id']}")["tries"]]

    def wait_for_attempt(self, transport: str, outcome: str) -> dict:
        """Wait for an attempt that ended so."""
        return wait_until(
            f"an attempt that is {outcome}",
            lambda: next((one for one in self.attempts(transport) if one["outcome"] == outcome), None),
        )

    def stored(self) -> bytes:
        """Return what is on disk: the database and the log."""
        folder = self.running.folder
        return b"".join(file.read_bytes() for file in folder.glob("tocsin.db*")) + (folder / LOG).read_bytes()


@contextmanager
def pushing_service(folder: Path, command: list[str] = SERVE) -> Iterator[PushingService]:
    """Run the service, with private addresses allowed. `command`: what Python is to run."""
    settings = {"TOCSIN_WEBHOOK_ALLOW_PRIVATE": "true", "TOCSIN_WEBHOOK_TIMEOUT_S": "5"}
    with serving(folder, command=command, **settings) as running:
        yield PushingService(running)
