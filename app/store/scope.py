"""Whose rows a list shows: of one customer, or of agents and jobs, by id or by name."""

from dataclasses import dataclass

from sqlalchemy import Select, select

from app.store.tables import agents, alerts, jobs
from app.store.transactions import ReadTx


@dataclass(frozen=True, slots=True)
class Scope:
    """What was asked for; None asks for nothing. `agent` and `job` are names, and several agents or jobs may have the same."""

    customer_id: str | None = None
    agent_id: str | None = None
    agent: str | None = None
    job_id: str | None = None
    job: str | None = None

    @property
    def names_agent_or_job(self) -> bool:
        """Whether it asks for more than a customer."""
        return (self.agent_id, self.agent, self.job_id, self.job) != (None, None, None, None)


def named_agents(scope: Scope) -> Select[tuple[str]]:
    """Select the ids of the agents that are asked for by name."""
    query = select(agents.c.id).where(agents.c.name == scope.agent)
    if scope.customer_id is not None:
        query = query.where(agents.c.customer_id == scope.customer_id)
    if scope.agent_id is not None:
        query = query.where(agents.c.id == scope.agent_id)
    return query


async def agent_ids(tx: ReadTx, scope: Scope) -> list[str] | None:
    """Return the agents that are asked for by id or name; None where no agent is."""
    if scope.agent is None:
        return None if scope.agent_id is None else [scope.agent_id]
    return list(await tx.connection.scalars(named_agents(scope)))


def jobs_of(scope: Scope) -> Select[tuple[str]]:
    """Select the ids of the jobs that are in the scope."""
    query = select(jobs.c.id).join_from(jobs, agents, agents.c.id == jobs.c.agent_id)
    asked = (
        (jobs.c.customer_id, scope.customer_id),
        (jobs.c.agent_id, scope.agent_id),
        (agents.c.name, scope.agent),
        (jobs.c.id, scope.job_id),
        (jobs.c.name, scope.job),
    )
    return query.where(*(column == value for column, value in asked if value is not None))


async def job_ids(tx: ReadTx, scope: Scope) -> list[str]:
    """Return the jobs that are in the scope."""
    return list(await tx.connection.scalars(jobs_of(scope)))


def alerts_of(scope: Scope) -> Select[tuple[str]]:
    """Select the ids of the alerts about the agents or jobs that the scope names. The alerts of a deleted job or agent have its id."""
    query = select(alerts.c.id)
    if scope.job is not None:
        query = query.where(alerts.c.subject_id.in_(jobs_of(scope)))
    elif scope.job_id is not None:
        query = query.where(alerts.c.subject_id == scope.job_id)
    if scope.agent is not None:
        query = query.where(alerts.c.agent_id.in_(named_agents(scope)))
    elif scope.agent_id is not None:
        query = query.where(alerts.c.agent_id == scope.agent_id)
    return query
