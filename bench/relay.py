"""Claims about the relay, on the Windows of the tests (Wine): `python -m bench.relay [MESSAGES]`. Takes a second a message.

From an event's POST to its mail having left the Outbox; messages a minute through one relay; and what the child costs of that.
"""

import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx

from app.core.pyz import write
from tests.windows import lab as labs
from tests.windows.site import Site, sited

ALERTS, WARM = 50, 2


def main() -> int:
    """Print each figure. Exit status 1 if a message was lost or left twice."""
    messages = int(sys.argv[1]) if sys.argv[1:] else 1000
    with tempfile.TemporaryDirectory() as folder, labs.built().awake() as lab:
        place = Path(folder)
        with sited(lab, write("relay", place / "program"), place) as site:
            site.start()
            site.one_mail_each()
            children: list[dict[str, Any]] = []
            waits = sorted(_wait_for_alert(site, f"job-{number:03d}", children) for number in range(WARM + ALERTS))[
                WARM:
            ]
            print(f"event to left the Outbox, {ALERTS} alerts: p50 {waits[ALERTS // 2]:.2f} s, p99 {waits[-1]:.2f} s")
            print(
                f"a child's life: {statistics.median(one['seconds'] for one in children):.2f} s; till {_phases(children)}"
            )
            seconds, twice = _many(site, messages)
    print(
        f"{messages} messages through one relay: {messages / seconds * 60:.0f} a minute, {seconds / messages:.2f} s each"
    )
    print("each left once" if not twice else f"{twice} left twice or never")
    return 1 if twice else 0


def _left(site: Site) -> dict[str, float]:
    return {path.name: path.stat().st_mtime for path in (site.lab.client / "sent").glob("*.msg")}


def _wait_for_alert(site: Site, job: str, children: list[dict[str, Any]]) -> float:
    known = set(_left(site))
    begun = time.time()
    site.fail(job)
    while not (new := {name: at for name, at in _left(site).items() if name not in known}):
        if time.time() - begun > 60:  # noqa: PLR2004  (a minute)
            raise RuntimeError(f"the mail about {job} did not leave: {site.log()[-2000:]}")
        time.sleep(0.005)
    [attempt] = site.message(job, "sent")["tries"]
    children.append(attempt["evidence"])
    return min(new.values()) - begun


def _phases(children: list[dict[str, Any]]) -> str:
    """Describe how far a child is after how many seconds, by the median."""
    reached = {name: statistics.median(one["phases"][name] for one in children) for name in children[0]["phases"]}
    return ", ".join(f"{name} {after:.2f}" for name, after in sorted(reached.items(), key=lambda one: one[1]))


def _many(site: Site, messages: int) -> tuple[float, int]:
    """Send so many; return the seconds from the first that left to the last, and how many left twice, or never."""
    known = len(site.left())
    key = {"Authorization": f"Bearer {site.service.admin_key}"}
    begun = time.time()
    with httpx.Client(base_url=site.service.url, headers=key, timeout=30) as client:
        for _ in range(messages):
            client.post(f"/v1/relays/{site.relay_id}:test", json={"address": "admin@example.org"}).raise_for_status()
        while _waiting(client):
            time.sleep(1)
    left = site.left()  # by Message-ID; the relay's own "behind" and "OK again" may be among them
    lost = max(0, known + messages - len(left))
    return max(_left(site).values()) - begun, len(left) - len(set(left)) + lost


def _waiting(client: httpx.Client) -> bool:
    """Return whether any message is not settled."""
    return any(
        client.get("/v1/messages", params={"transport": "mapi", "state": state, "limit": 1}).json()["items"]
        for state in ("queued", "leased", "unknown")
    )


if __name__ == "__main__":
    sys.exit(main())
