"""Backup agents that send again, under the same key, until the answer is 202, as real agents do. They record every answer."""

import asyncio
import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

PATIENCE_S = 10.0
HOSTS, JOBS = 6, 40
MOST_LINES = 20
AGENTS = 6
FAILS, SENT_TWICE, RECOVERS = 0.25, 0.1, 0.3


@dataclass(slots=True)
class Reported:
    """The events that were answered 202, and what has to follow from them."""

    events: set[tuple[str, str]] = field(default_factory=set)  # agent, key
    failed: set[str] = field(default_factory=set)  # jobs
    recovered: set[str] = field(default_factory=set)  # of these, the ones whose failure had been mailed before
    answers: int = 0
    unanswered: int = 0
    wrong: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Agents:
    """Several agents at once. `mailed` returns the jobs whose failure is at the mail server: only those report their recovery."""

    url: str
    key: str
    dice: random.Random
    mailed: Callable[[], set[str]]
    reported: Reported = field(default_factory=Reported)
    recovers: float = RECOVERS
    _number: int = 0
    _due: dict[str, str] = field(
        default_factory=dict
    )  # failed job -> its agent, until it is decided whether it recovers

    def know_failure(self, agent: str, job: str) -> None:
        """Take a failure that was reported before as one's own: its recovery is reported too."""
        self.reported.failed.add(job)
        self._due[job] = agent

    async def report(self, stopping: asyncio.Event) -> None:
        """Report until `stopping` is set, and then until everything that was sent is answered."""
        limits = httpx.Timeout(PATIENCE_S)
        async with (
            httpx.AsyncClient(
                base_url=self.url, timeout=limits, headers={"Authorization": f"Bearer {self.key}"}
            ) as client,
            asyncio.TaskGroup() as group,
        ):
            for _ in range(AGENTS):
                group.create_task(self._one(client, stopping))

    async def _one(self, client: httpx.AsyncClient, stopping: asyncio.Event) -> None:
        while not stopping.is_set():
            events = self._news()
            accepted = await self._insist(client, events)
            self._note(events)
            if self.dice.random() < SENT_TWICE:  # as an agent does that did not receive the first answer
                accepted = await self._insist(client, events)
                if accepted:
                    self.reported.wrong.append(f"{accepted} events were accepted a second time")
            await asyncio.sleep(self.dice.uniform(0.0, 0.1))

    async def _insist(self, client: httpx.AsyncClient, events: list[dict[str, Any]]) -> int:
        """Send the same bytes until they are answered 202, and return how many were accepted then."""
        is_one = len(events) == 1 and self.dice.random() < 0.8
        content = json.dumps(events[0]) if is_one else "\n".join(map(json.dumps, events))
        kind = "application/json" if is_one else "application/x-ndjson"
        while True:
            try:
                answer = await client.post("/v1/events", content=content.encode(), headers={"Content-Type": kind})
            except httpx.TransportError:
                self.reported.unanswered += 1
            else:
                self.reported.answers += 1
                if answer.status_code == 202:
                    return self._counted(answer.json(), len(events))
                if answer.status_code != 503:
                    self.reported.wrong.append(f"{answer.status_code}: {answer.text[:200]}")
            await asyncio.sleep(self.dice.uniform(0.05, 0.3))

    def _counted(self, counts: dict[str, Any], sent: int) -> int:
        if counts["rejected"] or counts["accepted"] + counts["duplicates"] != sent:
            self.reported.wrong.append(f"{sent} events were sent, and of them: {counts}")
        return int(counts["accepted"])

    def _news(self) -> list[dict[str, Any]]:
        events = [self._ordinary() for _ in range(1 if self.dice.random() < 0.5 else self.dice.randint(2, MOST_LINES))]
        if self.dice.random() < FAILS:
            events[self.dice.randrange(len(events))] = self._failure()
        for job in sorted(self.mailed() & self._due.keys()):
            agent = self._due.pop(job)
            if self.dice.random() < self.recovers:
                events.append(self._event(agent, job, "success"))
        return events

    def _ordinary(self) -> dict[str, Any]:
        host = self.dice.randrange(HOSTS)
        return self._event(f"host-{host}", f"nightly-{host}-{self.dice.randrange(JOBS)}", "success")

    def _failure(self) -> dict[str, Any]:
        """Return the failure of a job that never ran before: its alert has to be mailed, in a mail of its own."""
        host = self.dice.randrange(HOSTS)
        return self._event(f"host-{host}", f"broken-{host}-{self._number}", "failure")

    def _event(self, agent: str, job: str, outcome: str) -> dict[str, Any]:
        self._number += 1
        at = datetime.now(UTC) - timedelta(
            seconds=self.dice.choice([0, 0, 1, 2]) if outcome == "success" and "nightly" in job else 0
        )
        fields = {"agent": agent, "job": job, "outcome": outcome, "phase": "finished", "key": f"{job}/{self._number}"}
        return {
            **fields,
            "run": f"r{self._number}",
            "occurred_at": at.isoformat(),
            "message": f"run {self._number}",
            "metrics": {"bytes_processed": 4096},
        }

    def _note(self, events: list[dict[str, Any]]) -> None:
        for event in events:
            self.reported.events.add((event["agent"], event["key"]))
            if event["outcome"] == "failure":
                self.reported.failed.add(event["job"])
                self._due[event["job"]] = event["agent"]
            elif event["job"] in self.reported.failed:
                self.reported.recovered.add(event["job"])
