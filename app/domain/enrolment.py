"""What an enrolment key lets in: which names, from which addresses, how many agents, until when, and whether a person approves them. Pure.

Names and addresses hold for every event under the key. The number and the date hold for agents that are unknown: an agent that was let
in reports for as long as it lives, because a date that ends its reports would also end those of its failures.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import lru_cache
from ipaddress import ip_network

from app.core.networks import Network, is_in
from app.domain.matcher import Comparison, Matcher


class EnrolmentRule(StrEnum):
    """The rule that refused an agent. The values are error codes."""

    ADDRESS = "enrol_address"
    NAME = "enrol_name"
    MOST = "enrol_most"
    UNTIL = "enrol_until"
    REJECTED = "agent_rejected"


@dataclass(frozen=True, slots=True)
class EnrolmentRefusal:
    """Why an agent was not let in."""

    rule: EnrolmentRule
    detail: str


@dataclass(frozen=True, slots=True)
class EnrolmentLimits:
    """The limits of one enrolment key; an empty one limits nothing. `names` are globs with `*` and `?`, `from_addresses` networks."""

    key_id: str
    names: tuple[str, ...] = ()
    from_addresses: tuple[str, ...] = ()
    agents_most: int | None = None
    agents_until: datetime | None = None
    approve: bool = False

    def refuse_address(self, address: str | None) -> EnrolmentRefusal | None:
        """Return the refusal of a client's address; None if it is let in. An address that is not known is not let in."""
        if not self.from_addresses or is_in(address or "", _parsed(self.from_addresses)):
            return None
        listed = ", ".join(self.from_addresses)
        return EnrolmentRefusal(
            EnrolmentRule.ADDRESS, f"this key lets in agents from {listed} only, not from {address or 'here'}"
        )

    def refuse_name(self, name: str) -> EnrolmentRefusal | None:
        """Return the refusal of an agent's name; None if it is let in. Case does not matter."""
        if not self.names:
            return None
        facts = {"agent": name}
        if any(Matcher("agent", Comparison.LIKE, glob).matches(facts) for glob in self.names):
            return None
        return EnrolmentRefusal(
            EnrolmentRule.NAME, f"agent: this key lets in names like {', '.join(self.names)} only, not {name!r}"
        )

    def refuse_unknown(self, name: str, let_in: int, now: datetime) -> EnrolmentRefusal | None:
        """Return the refusal of an agent that is unknown, when `let_in` agents came in by this key before; None if it is let in."""
        if self.agents_until is not None and now >= self.agents_until:
            until = f"{self.agents_until:%Y-%m-%d %H:%M} UTC"
            return EnrolmentRefusal(
                EnrolmentRule.UNTIL, f"agent: this key let in new agents until {until}, and {name!r} is not known"
            )
        if self.agents_most is not None and let_in >= self.agents_most:
            return EnrolmentRefusal(
                EnrolmentRule.MOST,
                f"agent: this key has let in its {self.agents_most} agents, and {name!r} is not one that is known",
            )
        return None


def refuse_rejected(name: str) -> EnrolmentRefusal:
    """Return the refusal of an agent that an administrator rejected."""
    return EnrolmentRefusal(EnrolmentRule.REJECTED, f"agent: an administrator rejected the agent {name!r}")


def read_network(text: str) -> str:
    """Return a network as we store it: `10.0.0.0/8`, `192.168.1.7/32`. Raises ValueError if the text is neither a network nor an address."""
    return str(ip_network(text.strip(), strict=False))


@lru_cache(1000)
def _parsed(networks: tuple[str, ...]) -> tuple[Network, ...]:
    return tuple(map(ip_network, networks))
