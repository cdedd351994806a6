"""A key whose limits refuse agents is reported once a day, down to the mail, and the alert closes a day after the last refusal. On both databases."""

from datetime import timedelta
from pathlib import Path

from app.admin import keys as admin_keys
from app.admin.editing import Editor
from app.compose import tick as compose
from app.decide import refused_agents
from app.domain.agent import AgentState
from app.domain.enrolment import EnrolmentLimits, EnrolmentRule
from app.domain.key import KeyKind
from app.intake.enrol import AskedAgent, EnrolmentRefusals, let_in
from app.store.tables import agents, alerts, events
from tests.support.context import SystemUnderTest, open_system


async def make_key(system: SystemUnderTest, **limits: object) -> EnrolmentLimits:
    async with system.context.database.write() as tx:
        by = Editor("an administrator", system.time[0], system.context.wakeups.wake)
        wanted = admin_keys.NewKey(KeyKind.ENROL, "site B", system.customer_id, **limits)  # type: ignore[arg-type]
        key, _ = await admin_keys.create_key(tx, system.context.secret, wanted, by)
    assert key.limits is not None
    return key.limits


async def refuse(system: SystemUnderTest, limits: EnrolmentLimits, name: str) -> None:
    refusals = EnrolmentRefusals(system.context)
    refusal = limits.refuse_name(name)
    assert refusal is not None
    refusals.note(limits, refusal)
    await refusals.store()


async def look(system: SystemUnderTest) -> None:
    await refused_agents.tick(system.context)
    await system.decide()
    await compose.tick(system.context)


async def test_a_key_that_refuses_agents_is_reported_once_a_day(database_url: str, tmp_path: Path) -> None:
    async with open_system(database_url, tmp_path) as system:
        limits = await make_key(system, names=("b-*",))
        await look(system)
        assert await system.rows(agents) == []
        for hour in range(30):
            await refuse(system, limits, f"host{hour}")
            await look(system)
            system.pass_time(hours=1)
        (alert,) = await system.rows(alerts)
        assert alert.closed_at is None
        reported = await system.rows(events)
        assert len(reported) == 2, "the clock of the test begins at noon: two days"
        assert "'host0'" in reported[0].message
        mail = next(sent.mail for sent in await system.mails())
        assert b"enrolment key site B" in mail
        for _ in range(2):
            system.pass_time(hours=25)
            await look(system)
        (alert,) = await system.rows(alerts)
        assert alert.closed_at is not None
        assert len(await system.rows(events)) == 3


async def test_the_mail_about_a_failure_says_that_its_agent_waits_for_approval(
    database_url: str, tmp_path: Path
) -> None:
    async with open_system(database_url, tmp_path) as system:
        limits = await make_key(system, approve=True, agents_most=1)
        async with system.context.database.write() as tx:
            asked = [AskedAgent(system.customer_id, name, limits) for name in ("sql01", "sql02")]
            enrolled = await let_in(tx, asked, system.time[0], lambda _: True)
        assert [refusal.rule for refusal in enrolled.refused.values()] == [EnrolmentRule.MOST]
        (agent,) = await system.rows(agents)
        assert agent.state == AgentState.WAITING
        system.agent_ids["sql01"] = agent.id
        await system.receive(job="db", outcome="failure", message="repository is locked")
        await system.decide()
        system.time[0] += timedelta(minutes=1)
        await compose.tick(system.context)
        (sent,) = await system.mails()
        assert b"new, and waits for approval" in sent.mail
