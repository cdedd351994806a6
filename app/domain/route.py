"""Where alerts go, and what keeps them back: routes and silences. Pure."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from app.domain.matcher import Comparison, Matcher


@dataclass(frozen=True, slots=True)
class Route:
    """Matchers to recipients, with grouping and repeat. Routes are tried in order; the first that matches ends the search unless `goes_on`."""

    id: str
    name: str
    recipients: tuple[str, ...]
    customer_id: str | None = None
    enabled: bool = True
    matchers: tuple[Matcher, ...] = ()
    group_by: tuple[str, ...] = ("customer",)
    group_wait: timedelta = timedelta(0)
    group_interval: timedelta = timedelta(minutes=5)
    repeat_every: timedelta | None = None
    send_recovery: bool = True
    goes_on: bool = False
    position: int = 100
    created_at: datetime | None = None  # None: not stored yet
    version: int = 1


@dataclass(frozen=True, slots=True)
class Silence:
    """A one-off mute that ends by itself: at `ends_at`, or before, if `until_fixed`, once nothing that it mutes is open any more."""

    id: str
    matchers: tuple[Matcher, ...]
    starts_at: datetime
    ends_at: datetime
    comment: str
    created_by: str
    customer_id: str | None = None
    until_fixed: bool = False
    created_at: datetime | None = None  # None: not stored yet
    version: int = 1

    @property
    def is_about_one(self) -> bool:
        """Whether it can mute only one agent, or jobs of one agent: of a customer, by matchers that name the agent, and perhaps the job, by `is`."""
        named = {matcher.field for matcher in self.matchers if matcher.test is Comparison.IS}
        others = {matcher.field for matcher in self.matchers} - {"agent", "job"}
        return self.customer_id is not None and "agent" in named and not others and len(named) == len(self.matchers)
