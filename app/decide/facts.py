"""What matchers can ask of an alert: its fields and labels as plain text. Pure."""

from collections.abc import Mapping

from app.domain.agent import Agent
from app.domain.customer import Customer
from app.domain.job import Job


def facts_of(
    customer: Customer, agent: Agent, job: Job | None, kind: str, severity: str, message: str | None
) -> Mapping[str, str]:
    """Give the facts by field (see domain/matcher.py). A job's label wins over its agent's of the same name."""
    labels = {**agent.labels, **(job.labels if job else {})}
    return {
        **{f"label:{name}": str(value) for name, value in labels.items()},
        "customer": customer.name,
        "agent": agent.name,
        "job": job.name if job else "",
        "activity": job.activity.value if job else "",
        "kind": kind,
        "severity": severity,
        "message": message or "",
    }
