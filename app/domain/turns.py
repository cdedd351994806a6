"""Who is decided on next: each customer in turn, and within a customer each agent in turn. Pure; one state a process, lost with it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

MOST_CUSTOMERS = 64  # that have a turn in one piece of work
MOST_KNOWN = 10_000  # customers whose last agent is remembered


@dataclass(slots=True)
class Turns:
    """Where the turn is. `customer_id` had the last one; `agents`: the agent of each customer that had its last one."""

    customer_id: str = ""
    agents: dict[str, str] = field(default_factory=dict)

    def pass_on(self, agents: Mapping[str, Sequence[str]]) -> None:
        """Note that these agents had a turn, by customer in their order."""
        for customer_id, of_customer in agents.items():
            self.customer_id = customer_id
            self.agents.pop(customer_id, None)
            self.agents[customer_id] = of_customer[-1]
        while len(self.agents) > MOST_KNOWN:
            del self.agents[next(iter(self.agents))]


def share_by_rank(trouble: int, routine: int, limit: int) -> tuple[int, int]:
    """Return how much trouble and how much routine is taken. Trouble has three of four places.

    It has not all of them: an agent that reports nothing but failures must not keep the successes of others from closing alerts.
    """
    of_trouble = min(trouble, max(limit - routine, limit * 3 // 4))
    return of_trouble, min(routine, limit - of_trouble)


def share_by_agent(agents: Mapping[str, Sequence[str]], limit: int) -> dict[int, list[tuple[str, str]]]:
    """Return which (customer, agent) may have how many events: by their number, which is at least one."""
    shares: dict[int, list[tuple[str, str]]] = {}
    of_customer = max(1, limit // max(1, len(agents)))
    for customer_id, own in agents.items():
        served = own[:of_customer]
        for agent_id in served:
            shares.setdefault(of_customer // len(served), []).append((customer_id, agent_id))
    return shares
