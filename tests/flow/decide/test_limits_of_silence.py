"""An agent that is dead is reported silent, whatever an administrator changes while it is: its limit, its approval, a rule. On both databases."""

from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from app.admin import agents as managed_agents
from app.admin import follow_ups
from app.admin import rules as managed_rules
from app.admin.editing import Editor
from app.domain.agent import Agent
from app.domain.alert import AlertKind, Rule
from app.store.agents import AGENTS
from app.store.tables import agents, alerts
from app.store.tables_managed import rules
from tests.support.context import SystemUnderTest, open_system


@pytest.fixture
async def system(database_url: str, tmp_path: Path) -> AsyncIterator[SystemUnderTest]:
    async with open_system(database_url, tmp_path) as system:
        yield system


def ann(system: SystemUnderTest) -> Editor:
    return Editor("Ann", system.time[0], system.context.wakeups.wake)


async def heard_once(system: SystemUnderTest) -> str:
    await system.receive(activity="heartbeat")
    await system.decide()
    return await system.agent("sql01")


async def change_agent(system: SystemUnderTest, **fields: Any) -> Agent:
    async with system.context.database.write() as tx:
        agent_id = await system.agent("sql01")
        return await managed_agents.update_agent(tx, agent_id, lambda agent: replace(agent, **fields), ann(system))


async def change_rule(system: SystemUnderTest, edit: Callable[[Rule], Rule]) -> None:
    [rule] = await system.rows(rules, rules.c.kind == "agent_silent")
    async with system.context.database.write() as tx:
        await managed_rules.update_rule(tx, rule.id, edit, ann(system))
    while await follow_ups.tick(system.context):
        pass


async def silent_after(system: SystemUnderTest, hours: int) -> list[str]:
    """Return the kinds of open alerts after some hours."""
    system.pass_time(hours=hours)
    await system.decide()
    return [alert.kind for alert in await system.rows(alerts) if alert.closed_at is None]


async def test_an_agent_whose_own_limit_is_cleared_is_silent_by_the_rule(system: SystemUnderTest) -> None:
    await heard_once(system)
    await change_agent(system, silent_after=timedelta(days=30))
    await change_agent(system, silent_after=None)
    assert await silent_after(system, hours=47) == []
    assert await silent_after(system, hours=1) == ["agent_silent"]


async def test_an_agent_whose_own_limit_is_cleared_long_after_its_last_report_is_silent_at_once(
    system: SystemUnderTest,
) -> None:
    await heard_once(system)
    await change_agent(system, silent_after=timedelta(days=30))
    assert await silent_after(system, hours=72) == []
    await change_agent(system, silent_after=None)
    await system.decide()
    assert [alert.kind for alert in await system.rows(alerts)] == ["agent_silent"]


async def test_an_agent_that_was_added_by_hand_and_never_reported_is_expected_by_its_own_limit_only(
    system: SystemUnderTest,
) -> None:
    await system.agent("sql01")
    await change_agent(system, silent_after=timedelta(days=1))
    agent = await change_agent(system, silent_after=None)
    assert agent.silent_at is None
    assert await silent_after(system, hours=60) == []


async def test_an_agent_that_died_before_it_was_approved_is_silent(system: SystemUnderTest) -> None:
    agent_id = await system.agent("sql01")
    async with system.context.database.write() as tx:
        await tx.connection.execute(update(agents).values(state="waiting"))
    await heard_once(system)
    assert await silent_after(system, hours=60) == []
    async with system.context.database.write() as tx:
        await managed_agents.approve_agent(tx, agent_id, ann(system))
    assert await silent_after(system, hours=1) == ["agent_silent"]


async def test_an_agent_that_died_while_the_rule_was_off_is_silent_once_it_is_on(system: SystemUnderTest) -> None:
    await change_rule(system, lambda rule: replace(rule, enabled=False))
    await heard_once(system)
    assert await silent_after(system, hours=60) == []
    await change_rule(system, lambda rule: replace(rule, enabled=True))
    assert await silent_after(system, hours=1) == ["agent_silent"]


async def test_a_shorter_limit_of_the_rule_holds_for_agents_that_are_dead_already(system: SystemUnderTest) -> None:
    await heard_once(system)
    assert await silent_after(system, hours=10) == []
    await change_rule(system, lambda rule: replace(rule, silent_after=timedelta(hours=12)))
    assert await silent_after(system, hours=1) == []
    assert await silent_after(system, hours=1) == ["agent_silent"]


async def test_a_longer_limit_of_the_rule_holds_for_agents_that_reported_before(system: SystemUnderTest) -> None:
    await heard_once(system)
    await change_rule(system, lambda rule: replace(rule, silent_after=timedelta(hours=96)))
    assert await silent_after(system, hours=95) == []
    assert await silent_after(system, hours=1) == ["agent_silent"]


async def test_a_new_rule_for_some_agents_holds_for_those_that_are_dead_already(system: SystemUnderTest) -> None:
    await heard_once(system)
    strict = Rule(
        "rul_new",
        "strict",
        AlertKind.AGENT_SILENT,
        position=0,
        silent_after=timedelta(hours=2),
        created_at=system.time[0],
    )
    async with system.context.database.write() as tx:
        made = await managed_rules.create_rule(tx, strict, ann(system))
    await follow_ups.tick(system.context)
    assert await silent_after(system, hours=2) == ["agent_silent"]
    async with system.context.database.write() as tx:
        await managed_rules.delete_rule(tx, made.id, ann(system))
    await follow_ups.tick(system.context)
    assert await silent_after(system, hours=1) == ["agent_silent"]
    assert len(await system.rows(alerts)) == 1


async def test_an_agent_that_is_silent_already_is_reported_once(system: SystemUnderTest) -> None:
    await heard_once(system)
    assert await silent_after(system, hours=49) == ["agent_silent"]
    await change_rule(system, lambda rule: replace(rule, silent_after=timedelta(hours=12)))
    assert await silent_after(system, hours=2) == ["agent_silent"]
    [alert] = await system.rows(alerts)
    async with system.context.database.read() as tx:
        agent = await AGENTS.find(tx, await system.agent("sql01"))
    assert (len(await system.rows(alerts)), alert.repeats, agent is not None and agent.silent_at) == (1, 0, None)
