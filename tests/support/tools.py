"""A running service with an agent's keys, for real programs that report to it, and what the administrator then sees of a job."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.running import CLIENT, Running, serving, wait_until


@dataclass(frozen=True, slots=True)
class Heard:
    """A service that real programs report to, as the agent nas01."""

    running: Running
    agent_id: str

    def key(self, form: str, job: str | None = None) -> str:
        """Make a key of the agent."""
        wanted = {"kind": "agent", "name": f"{form} {job}", "agent_id": self.agent_id, "form": form, "job": job}
        return str(_tell(self.running, "/v1/keys", wanted)["key"])

    def job(self, name: str, state: str) -> dict:
        """Wait until a job is in this state, and return it."""

        def look() -> dict | None:
            found = self.running.ask("/v1/jobs", name=name)["items"]
            return next((job for job in found if job["state"] == state), None)

        return wait_until(f"job {name} in state {state}", look)

    def events(self, name: str) -> list[dict]:
        """Return the full events of a job, oldest first."""
        found = self.running.ask("/v1/events", job=name, limit="200")["items"]
        return [self.running.ask(f"/v1/events/{event['id']}") for event in sorted(found, key=lambda one: one["id"])]


@contextmanager
def hearing(folder: Path) -> Iterator[Heard]:
    """Serve, with an agent named nas01."""
    with serving(folder) as running:
        customer = running.ask("/v1/customers")["items"][0]["id"]
        yield Heard(running, _tell(running, "/v1/agents", {"customer_id": customer, "name": "nas01"})["id"])


def _tell(running: Running, path: str, body: dict) -> dict:
    admin = {"Authorization": f"Bearer {running.admin_key}"}
    answer = CLIENT.post(f"{running.url}{path}", json=body, headers=admin, timeout=30)
    answer.raise_for_status()
    return answer.json()
