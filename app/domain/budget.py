"""The budgets of a key: how much its holder may send. Pure.

Beyond a budget, routine is refused for a while (429). A report of trouble is taken all the same: nothing that a sender did before may hide a
failed backup.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from app.domain.event import RunOutcome, Severity
from app.domain.key import Key

BUDGET_MOST, BYTES_MOST = 1_000_000_000, 10**15  # the largest limits that can be set
_ROUTINE, _INFO = (None, RunOutcome.SUCCESS.value), Severity.INFO.value


class Budget(StrEnum):
    """What is limited. A key has no limit of mails of its own: the setting holds for all."""

    EVENTS = "events_a_minute"
    AGENTS = "new_agents_an_hour"
    JOBS = "new_jobs_an_hour"
    BYTES = "bytes_a_day"
    MAILS = "mails_a_minute"


OF_KEYS = (Budget.EVENTS, Budget.AGENTS, Budget.JOBS, Budget.BYTES)  # those of which a key can have a limit of its own
WORDS = {
    Budget.EVENTS: "events a minute",
    Budget.AGENTS: "new agents an hour",
    Budget.JOBS: "new jobs an hour",
    Budget.BYTES: "bytes a day",
    Budget.MAILS: "mails a minute",
}


@dataclass(frozen=True, slots=True)
class KeyLimits:
    """The limits of one key, by the names of the budgets."""

    events_a_minute: int
    new_agents_an_hour: int
    new_jobs_an_hour: int
    bytes_a_day: int
    mails_a_minute: int

    def of(self, budget: Budget) -> int:
        """Return the limit of a budget."""
        limit: int = getattr(self, budget.value)
        return limit


class BudgetSettings(Protocol):
    """The settings that hold for a key without limits of its own."""

    @property
    def key_events_a_minute(self) -> int: ...  # noqa: D102
    @property
    def key_new_agents_an_hour(self) -> int: ...  # noqa: D102
    @property
    def key_new_jobs_an_hour(self) -> int: ...  # noqa: D102
    @property
    def key_bytes_a_day(self) -> int: ...  # noqa: D102
    @property
    def mail_in_a_minute(self) -> int: ...  # noqa: D102


def limits_of(key: Key, settings: BudgetSettings) -> KeyLimits:
    """Return the limits of a key. One that it does not set is the setting's."""
    return KeyLimits(
        key.events_a_minute or settings.key_events_a_minute,
        key.new_agents_an_hour or settings.key_new_agents_an_hour,
        key.new_jobs_an_hour or settings.key_new_jobs_an_hour,
        key.bytes_a_day or settings.key_bytes_a_day,
        settings.mail_in_a_minute,
    )


def is_routine(outcome: str | None, severity: str) -> bool:
    """Return whether an event may be refused: it says neither by its outcome nor by its severity that anything was not well.

    Warnings, cancelled and unclear runs are no routine: each may be the only sign of a backup that does not work.
    """
    return outcome in _ROUTINE and severity == _INFO
