"""`kill -9` while people acknowledge and silence alerts and change who is notified: no answer is lost, and the work that it leaves is done."""

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import update

from app.core.clock import now
from app.core.ids import new_id
from app.core.settings import load_settings
from app.domain.recipient import Address, Recipient
from app.store.engine import open_engines
from app.store.routing import RECIPIENTS
from app.store.tables_managed import recipients, routes
from app.store.transactions import Database
from tests.chaos.storm import ADMIN_KEY, BACK_S, SETTLED_S, Storm, storm_over

ROUNDS, FAILURES, ACKNOWLEDGED = 3, 60, 10
_LEFT = {
    "edits not finished": "SELECT kind, subject_id FROM follow_ups",
    "notices still muted": "SELECT id, due_at FROM notices WHERE state = 'muted'",
    "attempts left open": "SELECT id FROM attempts WHERE ended_at IS NULL",
}
_NOTICES = (
    "SELECT jobs.name AS job, n.alert_id, n.what, n.state, r.name AS recipient, m.state AS message FROM notices n "
    "JOIN alerts a ON a.id = n.alert_id JOIN jobs ON jobs.id = a.job_id LEFT JOIN recipients r ON r.id = n.recipient_id "
    "LEFT JOIN messages m ON m.id = n.message_id"
)
_ALERTS = (
    "SELECT a.id, a.acknowledged_at, a.closed_at FROM alerts a JOIN jobs ON jobs.id = a.job_id WHERE a.kind = 'failed'"
)
pytestmark = pytest.mark.slow


@dataclass(slots=True)
class Administrator:
    """A person who sends each request again until it is answered, and keeps what was answered."""

    url: str
    acknowledged: set[str] = field(default_factory=set)
    silences: set[str] = field(default_factory=set)
    asked: int = 0
    answered: int = 0

    async def insist(self, method: str, path: str, *done: int, **more: Any) -> Any:
        """Send a request until an answer has one of the statuses `done`, and return its JSON."""
        async with httpx.AsyncClient(
            base_url=self.url, timeout=10, headers={"Authorization": f"Bearer {ADMIN_KEY}"}
        ) as client:
            async with asyncio.timeout(2 * BACK_S):
                while True:
                    self.asked += 1
                    try:
                        answer = await client.request(method, path, **more)
                    except httpx.TransportError:
                        await asyncio.sleep(0.05)
                        continue
                    if answer.status_code in done:
                        self.answered += 1
                        return answer.json() if answer.content else None
                    assert answer.status_code == 503, f"{method} {path}: {answer.status_code} {answer.text}"
                    await asyncio.sleep(0.2)

    async def acknowledge(self, alert_ids: list[str]) -> None:
        """Acknowledge these alerts, one after the other."""
        for alert_id in alert_ids:
            await self.insist("POST", f"/v1/alerts/{alert_id}:acknowledge", 200, 409, json={"name": "Robin"})
            self.acknowledged.add(alert_id)

    async def silence(self, host: str) -> None:
        """Silence a host for some moments, and end all silences that are there, also one whose answer was lost."""
        body = {
            "matchers": [{"field": "agent", "test": "is", "value": host}],
            "ends_at": (datetime.now(UTC) + timedelta(hours=1)).isoformat(),
            "comment": "a new disk",
        }
        self.silences.add((await self.insist("POST", "/v1/silences", 201, json=body))["id"])
        await asyncio.sleep(1)
        for one in (await self.insist("GET", "/v1/silences?state=current", 200))["items"]:
            await self.insist("DELETE", f"/v1/silences/{one['id']}", 204, 404)


async def prepare(storm: Storm) -> list[str]:
    """Send alerts to three recipients, and leave failures whose alerts wait to be sent; return the ids of the alerts."""
    others = [
        Recipient(new_id("rcp"), name, None, (Address("smtp", f"{name}@example.org"),), created_at=now())
        for name in ("colleague", "leaver")
    ]
    database = Database(open_engines(load_settings(database_url=storm.url, var_dir=storm.folder)))
    try:
        async with database.write() as tx:
            [admin] = (await tx.connection.execute(recipients.select())).all()
            for one in others:
                await RECIPIENTS.insert(tx, one)
            await tx.connection.execute(update(routes).values(recipients=[admin.id, *(one.id for one in others)]))
    finally:
        await database.close()
    storm.agents.recovers = 0.0
    await storm.leave_failures(FAILURES)
    return [one.id for one in await storm.aftermath.rows(_ALERTS)]


async def leave_out(storm: Storm, person: Administrator) -> None:
    """Notify one recipient less, and delete it while notices to it wait."""
    by_name = {row.name: row.id for row in await storm.aftermath.rows("SELECT id, name FROM recipients")}
    [route] = await storm.aftermath.rows("SELECT id FROM routes")
    others = [row_id for name, row_id in by_name.items() if name != "leaver"]
    await person.insist("PATCH", f"/v1/routes/{route.id}", 200, json={"recipients": others})
    await person.insist("DELETE", f"/v1/recipients/{by_name['leaver']}", 204, 404)


async def kill_amid_answers(storm: Storm, person: Administrator, alert_ids: list[str]) -> None:
    """In each round let the person work, and kill the programs several times meanwhile."""
    for number in range(ROUNDS):
        storm.start()
        async with asyncio.TaskGroup() as group:
            own = alert_ids[number * ACKNOWLEDGED : (number + 1) * ACKNOWLEDGED]
            work = [group.create_task(person.acknowledge(own)), group.create_task(person.silence(f"host-{number}"))]
            if number == 1:
                work.append(group.create_task(leave_out(storm, person)))
            before = -1
            for _ in range(3):
                async with asyncio.timeout(BACK_S):
                    # The test observes other processes.
                    while not all(task.done() for task in work) and person.answered <= before:  # noqa: ASYNC110
                        await asyncio.sleep(0.01)
                await asyncio.sleep(storm.dice.uniform(0.0, 0.7))
                before = person.answered
                for program in storm.dice.sample(storm.programs, storm.dice.randint(1, len(storm.programs))):
                    program.kill()
                storm.start()


async def check(storm: Storm, person: Administrator) -> None:
    """Compare the database and the mails with what was answered."""
    reported = storm.agents.reported
    assert not reported.wrong, reported.wrong
    alerts = {one.id: one for one in await storm.aftermath.rows(_ALERTS)}
    forgotten = person.acknowledged - {one.id for one in alerts.values() if one.acknowledged_at is not None}
    assert not forgotten, forgotten
    notices = await storm.aftermath.rows(_NOTICES)
    announced = Counter((one.job, one.recipient) for one in notices if (one.what, one.state) == ("opened", "worded"))
    for job in reported.failed:
        for name in {one.recipient for one in notices} - {"leaver", None}:
            assert announced[job, name] == 1, f"{name} was notified {announced[job, name]} times of {job}"
    assert {one.message for one in notices if one.state == "worded"} <= {"sent", "moved", "dead"}
    acknowledged = Counter((one.alert_id, one.recipient) for one in notices if one.what == "acknowledged")
    assert all(count == 1 for count in acknowledged.values()), acknowledged
    in_mails = {job for mail in storm.postbox.read() if (job := mail.job) and mail.about.startswith("opened")}
    assert reported.failed <= in_mails, "called sent, and in no mail"
    copies = storm.postbox.copies()
    unknown = Counter(await storm.aftermath.unknown_attempts())
    assert not {one: count for one, count in copies.items() if count > 1 + unknown[one]}, "sent again without a record"


async def settle(storm: Storm) -> None:
    """Wait until nothing is left to do, also of what was answered."""
    await storm.settle()
    left: dict[str, list[Any]] = {"": []}
    async with asyncio.timeout(SETTLED_S):
        while left:
            left = {what: rows for what, query in _LEFT.items() if (rows := await storm.aftermath.rows(query))}
            await asyncio.sleep(0.5)
    await storm.settle()


async def test_answers_of_people_and_what_they_leave_to_do_survive_kills(database_url: str, tmp_path: Path) -> None:
    with storm_over(database_url, tmp_path) as storm:
        await storm.prepare(0)
        alert_ids = await prepare(storm)
        person = Administrator(f"http://127.0.0.1:{storm.port}")
        await storm.under_load(partial(kill_amid_answers, storm, person, alert_ids), faults=False)
        await storm.let_time_pass()
        await settle(storm)
        await check(storm, person)
        assert len(person.acknowledged) == ROUNDS * ACKNOWLEDGED
        print(f"{storm.score()}; {person.asked} requests of an administrator")  # noqa: T201  (shown with -s)
        await storm.stop()
