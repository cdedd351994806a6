"""A service and a relay's parent as two processes: what a test does to each, and how it observes them."""

import signal
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil

from tests.support import relay_host
from tests.support.running import Running, wait_until


@dataclass
class Pair:
    """A service and a relay."""

    service: Running
    folder: Path
    relay_id: str
    key: str
    process: "subprocess.Popen[bytes] | None" = None

    def tell(self, path: str, method: str = "POST", **body: Any) -> Any:
        """Ask the API as an administrator."""
        key = {"Authorization": f"Bearer {self.service.admin_key}"}
        answer = httpx.request(method, self.service.url + path, json=body or None, headers=key, timeout=30)
        assert answer.is_success, answer.text
        return answer.json()

    def start(self, *, drain: float = 2.0) -> None:
        """Start the relay. `drain`: the seconds that a message may take to leave the Outbox."""
        self.process = relay_host.start(self.service.url, self.key, self.folder, drain)

    def kill(self) -> None:
        """Kill the relay and its child at once."""
        assert self.process is not None
        children = psutil.Process(self.process.pid).children(recursive=True)
        for one in (self.process, *children):
            one.send_signal(signal.SIGKILL)
        self.process.wait(10)

    def end(self) -> None:
        """Stop the relay as Windows does."""
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(30)

    def test(self) -> str:
        """Queue a message for this relay."""
        return str(self.tell(f"/v1/relays/{self.relay_id}:test", address="admin@example.org")["message_id"])

    def life(self, message_id: str) -> dict[str, Any]:
        """Return a message with its attempts and notices."""
        return self.service.ask(f"/v1/messages/{message_id}")

    def until(self, message_id: str, *states: str, patience_s: float = 30) -> dict[str, Any]:
        """Wait until it is in one of these states."""

        def look() -> dict[str, Any] | None:
            found = self.life(message_id)
            return found if found["state"] in states else None

        try:
            return wait_until(f"{message_id} {states}", look, patience_s)
        except TimeoutError as late:
            raise AssertionError(f"{late}: {self.life(message_id)} {self.log()[-2000:]}") from late

    def log(self) -> str:
        """Return the relay's output."""
        return (self.folder / "host.log").read_text(encoding="utf-8")

    def shown(self) -> dict[str, Any]:
        """Return the relay as the API shows it."""
        return self.service.ask(f"/v1/relays/{self.relay_id}")

    def phase(self, message_id: str) -> str:
        """Return how far its child is, as the spool records it."""
        with closing(sqlite3.connect(f"file:{self.folder / 'spool.db'}?mode=ro", uri=True)) as spool:
            row = spool.execute("SELECT phase FROM messages WHERE id = ?", (message_id,)).fetchone()
        return row[0] if row else ""


@contextmanager
def paired(service: Running, folder: Path) -> Iterator[Pair]:
    """Add a relay and its key, and end its process afterwards. It is not started."""
    pair = Pair(service, folder / "relay", "", "")
    pair.relay_id = pair.tell("/v1/relays", name=folder.name)["id"]
    pair.key = pair.tell("/v1/keys", kind="relay", name=folder.name, relay_id=pair.relay_id)["key"]
    relay_host.script(pair.folder)
    try:
        yield pair
    finally:
        pair.end()
