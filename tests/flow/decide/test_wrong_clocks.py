"""A sender's clock that is behind or ahead never hides a failure, and gets one alert."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.decide import tick as decide
from app.decide.judge import judge_events
from app.domain.matcher import Comparison, Matcher
from app.intake.clocks import move_back_leads
from app.intake.validate import validate_event
from app.store.intake import add_events
from app.store.job_states import JobChoice, count_jobs, page_job_statuses, worst_jobs
from app.store.tables import agents, alerts, events
from app.store.waiting import claim_by_id
from tests.support.context import SystemUnderTest, open_system
from tests.support.examples import examples

HOUR = timedelta(hours=1)


@pytest.fixture
async def system(database_url: str, tmp_path: Path) -> AsyncIterator[SystemUnderTest]:
    async with open_system(database_url, tmp_path) as system:
        yield system


async def report(system: SystemUnderTest, agent: str, *reports: dict[str, Any]) -> None:
    """Take reports in one request, as intake does, and decide."""
    await store(system, agent, *reports)
    while await decide.tick(system.context):
        pass


async def store(system: SystemUnderTest, agent: str, *reports: dict[str, Any]) -> dict[str, str]:
    """Take reports in one request, as intake does; return the ids by outcome."""
    agent_id = await system.agent(agent)
    rows = [
        validate_event(
            {"job": "db", "phase": "finished", **event},  # type: ignore[typeddict-item]
            system.customer_id,
            agent_id,
            agent,
            system.time[0],
            1024,
        )
        for event in reports
    ]
    await add_events(system.context.database, move_back_leads(rows, [agent] * len(rows)))
    stored = await system.rows(events, events.c.agent_id == agent_id, events.c.state == "new")
    return {row.outcome: row.id for row in stored}


async def failures_alerted(system: SystemUnderTest, agent: str) -> list[str]:
    """Return the messages of the failures that opened or repeated an alert so far, by the newest state of each alert."""
    found = await system.rows(alerts, alerts.c.agent_id == await system.agent(agent), alerts.c.kind == "failed")
    return [alert.message for alert in found]


async def states(system: SystemUnderTest) -> dict[str, str]:
    """Return how /v1/status and pages show each job, by its name."""
    async with system.context.database.read() as tx:
        return {job.job: job.state for job in await page_job_statuses(tx, JobChoice(), system.time[0])}


def at(moment: datetime, shift: timedelta) -> str:
    return (moment + shift).isoformat()


@pytest.mark.parametrize(
    ("name", "success", "failure"),
    [
        ("the clock fell back after the success", timedelta(0), -9 * HOUR),
        ("the success was dated in the future", 5 * HOUR, timedelta(0)),
        ("both are dated in the past", -3 * HOUR, -9 * HOUR),
    ],
)
async def test_a_failure_after_a_success_opens_an_alert_whatever_the_clock_says(
    system: SystemUnderTest, name: str, success: timedelta, failure: timedelta
) -> None:
    await report(system, "db07", {"outcome": "success", "occurred_at": at(system.time[0], success)})
    system.pass_time(hours=1)
    await report(system, "db07", {"outcome": "failure", "message": "disk", "occurred_at": at(system.time[0], failure)})
    assert await failures_alerted(system, "db07") == ["disk"], name
    assert await states(system) == {"db": "failed"}, name
    system.pass_time(hours=1)
    await report(system, "db07", {"outcome": "success", "occurred_at": at(system.time[0], timedelta(0))})
    assert await states(system) == {"db": "ok"}, name
    assert await system.rows(alerts, alerts.c.kind == "failed", alerts.c.closed_at.is_(None)) == []


async def test_a_failure_that_provably_came_before_the_success_opens_no_alert(system: SystemUnderTest) -> None:
    now = system.time[0]
    await report(system, "db07", {"outcome": "success", "occurred_at": at(now, -HOUR)})
    old = {"outcome": "failure", "occurred_at": at(now, -2 * HOUR)}
    await report(system, "db07", {**old, "sent_at": at(now, timedelta(0))})
    assert await failures_alerted(system, "db07") == []
    assert await states(system) == {"db": "ok"}


async def test_a_failure_with_the_second_of_a_success_is_shown_until_something_good_follows(
    system: SystemUnderTest,
) -> None:
    same = at(system.time[0], timedelta(0))
    await report(system, "db07", {"outcome": "success", "occurred_at": same})
    await report(system, "db07", {"outcome": "failure", "message": "disk", "occurred_at": same})
    for event in ({"outcome": "unclear"}, {"outcome": "cancelled"}):
        system.pass_time(hours=1)
        assert await states(system) == {"db": "failed"}
        async with system.context.database.read() as tx:
            assert (await count_jobs(tx, JobChoice(), system.time[0])).failed == 1
            assert [job.failing_since for job in await worst_jobs(tx, JobChoice(), system.time[0], 9)] != [None]
        await report(system, "db07", {**event, "message": "?", "occurred_at": at(system.time[0], timedelta(0))})
    assert await states(system) == {"db": "failed"}
    system.pass_time(hours=1)
    await report(system, "db07", {"outcome": "warning", "occurred_at": at(system.time[0], timedelta(0))})
    assert await states(system) == {"db": "warning"}


async def test_reports_of_one_request_are_in_the_order_of_their_clock(system: SystemUnderTest) -> None:
    now = system.time[0]
    await report(
        system,
        "db07",
        {"outcome": "success", "occurred_at": at(now, -HOUR)},
        {"outcome": "failure", "occurred_at": at(now, -2 * HOUR)},
    )
    assert await failures_alerted(system, "db07") == []


@pytest.mark.parametrize("order", [("success", "failure"), ("failure", "success")])
async def test_reports_of_one_request_are_in_the_order_of_their_clock_in_whatever_pieces_they_are_decided(
    system: SystemUnderTest, order: tuple[str, str]
) -> None:
    now = system.time[0]
    for name in ("a", "b", "c", "d", "e", "f"):  # ids of one millisecond are in any order
        ids = await store(
            system,
            name,
            {"outcome": "success", "occurred_at": at(now, -HOUR)},
            {"outcome": "failure", "occurred_at": at(now, -2 * HOUR)},
        )
        for outcome in order:
            async with system.context.database.write() as tx:
                claim = await claim_by_id(tx, [ids[outcome]])
                await judge_events(tx, claim.events, system.context.clock())
        assert await system.rows(alerts, alerts.c.closed_at.is_(None), alerts.c.kind == "failed") == [], name


async def test_a_late_failure_keeps_its_alert_open_next_to_a_success_of_the_same_batch(system: SystemUnderTest) -> None:
    now = system.time[0]
    await report(system, "db07", {"outcome": "failure", "message": "one", "occurred_at": at(now, timedelta(0))})
    system.pass_time(hours=1)
    await report(system, "db07", {"outcome": "success", "occurred_at": at(system.time[0], timedelta(0))})
    system.pass_time(hours=1)
    await report(system, "db07", {"outcome": "failure", "message": "two", "occurred_at": at(system.time[0], -9 * HOUR)})
    assert await failures_alerted(system, "db07") == ["one", "two"]


@pytest.mark.parametrize("minutes", [(-10, -20), (-20, -10)])
async def test_of_two_late_failures_a_success_between_them_leaves_the_alert_open_and_the_job_failed(
    system: SystemUnderTest, minutes: tuple[int, int]
) -> None:
    async def came(outcome: str, ago: int) -> tuple[int, str]:
        await report(system, "db07", {"outcome": outcome, "occurred_at": at(start, timedelta(minutes=ago))})
        opened = await system.rows(alerts, alerts.c.kind == "failed", alerts.c.closed_at.is_(None))
        return len(opened), (await states(system))["db"]

    start = system.time[0]
    assert await came("success", 0) == (0, "ok")
    system.pass_time(minutes=5)
    for one in minutes:
        assert await came("failure", one) == (1, "failed")
    assert await came("success", -15) == (1, "failed")
    assert await came("success", -5) == (0, "ok")


async def test_a_wrong_clock_opens_an_alert_once_and_closed_when_it_was_right_for_a_day(
    system: SystemUnderTest,
) -> None:
    for _ in range(3):
        system.pass_time(hours=1)
        sent = at(system.time[0], -9 * HOUR)
        await report(system, "db07", {"outcome": "success", "occurred_at": sent, "sent_at": sent})
    [alert] = await system.rows(alerts)
    assert (alert.kind, alert.message, alert.closed_at) == ("clock_off", "db07's clock is 9 h behind", None)
    [agent] = await system.rows(agents)
    assert agent.clock_offset_s == 9 * 3600
    stored = (await system.rows(events))[0]
    assert stored.occurred_at == stored.received_at
    assert "clock_corrected" in json.loads(json.dumps(stored.flags))
    for hours, is_open in ((1, True), (24, False)):
        system.pass_time(hours=hours)
        sent = at(system.time[0], timedelta(0))
        await report(system, "db07", {"outcome": "success", "occurred_at": sent, "sent_at": sent})
        [alert] = await system.rows(alerts)
        assert (alert.closed_at is None) is is_open
    assert alert.closed_reason == "its clock is right again"


# A clock may jump between any two reports, and some reports show when they were sent.
shifts = st.integers(-12 * 60, 12 * 60).map(lambda minutes: timedelta(minutes=minutes))
reports = st.lists(st.tuples(st.sampled_from(["success", "warning", "failure"]), shifts, st.booleans()), max_size=8)
names = count(1)


async def report_all(system: SystemUnderTest, sequence: list[tuple[str, timedelta, bool]]) -> list[tuple[bool, str]]:
    """Report in the true order with wrong clocks; return after each report whether a failed alert is open, and the state of the job."""
    agent = f"host{next(names)}"
    seen = []
    for place, (outcome, shift, shows_sending) in enumerate(sequence):
        system.pass_time(minutes=30)
        claimed = at(system.time[0], shift)
        event = {"outcome": outcome, "message": f"report {place}", "occurred_at": claimed}
        await report(system, agent, {**event, "sent_at": claimed} if shows_sending else event)
        of_agent = alerts.c.agent_id == await system.agent(agent)
        opened = await system.rows(alerts, of_agent, alerts.c.kind == "failed", alerts.c.closed_at.is_(None))
        async with system.context.database.read() as tx:
            of_job = JobChoice(matchers=(Matcher("agent", Comparison.IS, agent),))
            [job] = await page_job_statuses(tx, of_job, system.time[0])
        seen.append((bool(opened), job.state))
    return seen


def test_every_failure_that_arrives_opens_an_alert_whatever_the_clocks_say(database_url: str, tmp_path: Path) -> None:
    with asyncio.Runner() as runner:
        opened = open_system(database_url, tmp_path)
        system = runner.run(opened.__aenter__())

        @settings(max_examples=examples(30), deadline=None)
        @given(sequence=reports)
        def check(sequence: list[tuple[str, timedelta, bool]]) -> None:
            seen = runner.run(report_all(system, sequence))
            for place, (outcome, _, _) in enumerate(sequence):
                if outcome == "failure":
                    assert seen[place] == (True, "failed"), f"not shown as failed after report {place}"

        try:
            check()
        finally:
            runner.run(opened.__aexit__(None, None, None))
