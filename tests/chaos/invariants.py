"""What must hold after the kills, whatever was killed at which moment. It reads the database with plain SQL, without our code."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from tests.chaos.agents import Reported
from tests.chaos.postbox import Postbox

# One statement, which sees the database at one moment: a summary made between two statements would be missed by both.
_UNDONE = (
    "SELECT 'event not decided', id FROM events WHERE state = 'new' "
    "UNION ALL SELECT 'notice not composed', id FROM notices WHERE state = 'waiting' "
    "UNION ALL SELECT 'message ' || state || ' after ' || CAST(attempts AS TEXT) || ' attempts, ' || COALESCE(why, ''), id "
    "FROM messages WHERE state NOT IN ('sent', 'dead', 'moved') "
    "UNION ALL SELECT 'summary not made', name FROM summary_schedules s WHERE name LIKE 'storm %' "
    "AND NOT EXISTS (SELECT 1 FROM summaries WHERE schedule_id = s.id)"
)
_EVENTS = (
    "SELECT agents.name, events.key FROM events JOIN agents ON agents.id = events.agent_id WHERE events.kind = 'report'"
)
_OPENED = "SELECT jobs.name FROM alerts JOIN jobs ON jobs.id = alerts.job_id WHERE alerts.kind = 'failed'"
_NOTICES = "SELECT n.what, jobs.name, n.state, n.reason FROM notices n JOIN alerts ON alerts.id = n.alert_id JOIN jobs ON jobs.id = alerts.job_id"
_SUMMARIES = (
    "SELECT s.name, summaries.id, n.id, n.state, m.state FROM summary_schedules s JOIN summaries ON summaries.schedule_id = s.id "
    "LEFT JOIN notices n ON n.summary_id = summaries.id LEFT JOIN messages m ON m.id = n.message_id WHERE s.name LIKE 'storm %'"
)
_MESSAGES = "SELECT id, message_id, state, maybe_sent, attempts, why FROM messages"
_ATTEMPTS = "SELECT message_id, outcome, ended_at FROM attempts"


@dataclass(frozen=True, slots=True)
class Aftermath:
    """The database after the kills, what the agents reported, and what the mail server accepted."""

    url: str
    reported: Reported
    postbox: Postbox

    async def undone(self) -> list[tuple[str, str]]:
        """Return what still waits, and its id; empty when everything is settled."""
        return [(what, one) for what, one in await self.rows(_UNDONE)]

    async def workers_alive(self) -> int:
        """Count the workers that wrote a heartbeat lately. The SQL is PostgreSQL's: on SQLite there is only one worker."""
        return len(await self.rows("SELECT worker FROM heartbeats WHERE at > now() - interval '12 seconds'"))

    async def unknown_attempts(self) -> list[str]:
        """Return the Message-ID of each attempt that ended `unknown`."""
        ended = "SELECT m.message_id FROM attempts a JOIN messages m ON m.id = a.message_id WHERE a.outcome = 'unknown'"
        return [message_id for (message_id,) in await self.rows(ended)]

    async def check(self) -> None:
        """Raise AssertionError for the first invariant that does not hold."""
        assert not self.reported.wrong, self.reported.wrong
        undone = await self.undone()
        assert not undone, undone
        await self._every_event_once()
        await self._every_alert_sent_once()
        await self._every_summary_once()
        await self._every_message_settled()

    async def _every_event_once(self) -> None:
        stored = Counter((agent, key) for agent, key in await self.rows(_EVENTS))
        assert not self.reported.events - stored.keys(), "answered 202, and lost"
        assert not [event for event, times in stored.items() if times > 1], "stored twice"
        assert not stored.keys() - self.reported.events, "stored, and never sent"
        set_aside = await self.rows("SELECT id, error FROM events WHERE state = 'set_aside'")
        assert not set_aside, set_aside

    async def _every_alert_sent_once(self) -> None:
        opened = Counter(job for (job,) in await self.rows(_OPENED))
        check_same("alerts", opened, self.reported.failed)
        notices = await self.rows(_NOTICES)
        for kind, jobs in (("opened", self.reported.failed), ("recovered", self.reported.recovered)):
            made = Counter(job for what, job, state, _ in notices if (what, state) == (kind, "worded"))
            check_same(f"notices of alerts that {kind}", made, jobs)
        mailed = {mail.message_id: mail.about for mail in self.postbox.read()}
        expected = [f"opened {job}" for job in self.reported.failed] + [
            f"recovered {job}" for job in self.reported.recovered
        ]
        check_same("mails", Counter(about for about in mailed.values() if not about.startswith("summary")), expected)

    async def _every_summary_once(self) -> None:
        made = await self.rows(_SUMMARIES)
        assert made, "no summary was made"
        assert all(count == 1 for count in Counter(name for name, *_ in made).values()), made
        assert {(notice, message) for *_, notice, message in made} == {("worded", "sent")}, made

    async def _every_message_settled(self) -> None:
        messages, attempts = await self.rows(_MESSAGES), await self.rows(_ATTEMPTS)
        copies = self.postbox.copies()
        assert not [one for one in attempts if one.ended_at is None], "attempts left open"
        assert {one.state for one in messages} == {"sent"}, [tuple(one) for one in messages if one.state != "sent"]
        check_same("messages", Counter(one.message_id for one in messages), copies.keys())
        for message in messages:
            ends = Counter(one.outcome for one in attempts if one.message_id == message.id)
            assert ends["sent"] == 1, (tuple(message), ends)
            may = 1 + ends["unknown"]
            assert 1 <= copies[message.message_id] <= may, f"sent {copies[message.message_id]} times, on record: {ends}"
            assert bool(message.maybe_sent) == bool(ends["unknown"]), (tuple(message), ends)

    async def rows(self, query: str) -> list[Any]:
        """Run plain SQL and return its rows."""
        engine = create_async_engine(self.url, poolclass=NullPool)
        try:
            async with engine.connect() as connection:
                return list((await connection.execute(text(query))).all())
        finally:
            await engine.dispose()


def check_same(what: str, found: Counter[str], expected: Iterable[str]) -> None:
    """Raise AssertionError unless `found` has each of `expected` once, and nothing else."""
    wanted = Counter(expected)
    assert found == wanted, f"{what}: missing {wanted - found}, too many {found - wanted}"
