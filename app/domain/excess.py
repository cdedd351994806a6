"""What was sent under a key beyond its budgets, or beyond what is usual, and the events by which it is reported like a failed backup. Pure.

All of one key is one job of the agent `Tocsin`, so that a flood is one alert, and not one for each report that was refused.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from app.domain.budget import WORDS, Budget, KeyLimits
from app.domain.dedupe import excess_key
from app.domain.event import Event
from app.domain.service_event import service_event

JOB_PREFIX = "reports under the key "
RESULTS = "results"  # the kind of an excess that is no budget: many more results of an agent in an hour than usual
BUDGET_QUIET = timedelta(minutes=15)  # so long nothing was refused: it is over
RESULTS_QUIET = timedelta(minutes=75)  # longer than the hour in which results are counted
TOLD_AGAIN = timedelta(hours=1)  # the alert then has the present numbers; nobody gets a mail of it
RESULTS_FLOOR = 500  # results of an agent in an hour; fewer are never too many
RESULTS_FLOOR_NEW = 2_000  # the same of an agent without history: a host that was away may send all it has kept
TIMES_A_DAY = 50  # more results in an hour than this many usual days
_NAME_MOST = 150
_AGENTS_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Excess:
    """What went beyond one budget of a key (`events`: refused since `since`), or how many results an agent reported in an hour."""

    key_id: str
    what: str
    agent_id: str
    customer_id: str
    since: datetime
    last_at: datetime
    events: int
    failures: int = 0
    most_of: str = ""
    reported_at: datetime | None = None
    usual: float | None = None  # results that the agent usually has on a day; None: no history, or not read yet
    judged_at: datetime | None = None  # when `usual` was read

    def is_over(self, now: datetime) -> bool:
        """Return whether it has ended."""
        return now - self.last_at > (RESULTS_QUIET if self.what == RESULTS else BUDGET_QUIET)


def job_name(key_name: str, hint: str) -> str:
    """Return the job under which the excesses of a key are reported."""
    return f"{JOB_PREFIX}{key_name[:_NAME_MOST]} ({hint})"


def is_flood(results: int, usual_a_day: float | None) -> bool:
    """Return whether so many results of an agent in one hour are a flood. `usual_a_day` None: it has no history."""
    if usual_a_day is None:
        return results >= RESULTS_FLOOR_NEW
    return results >= max(RESULTS_FLOOR, TIMES_A_DAY * usual_a_day)


def describe_flood(agent: str, excess: Excess) -> str:
    """Return what is too much of one agent, in words."""
    counted = f"{excess.events} results since {excess.since:%Y-%m-%d %H:%M} UTC, {excess.failures} of them no success"
    usual = excess.usual
    if usual is None:
        return f"agent {agent} reports very much for a new one: {counted}"
    times = round(excess.events / max(usual, 1))
    return f"agent {agent} reports {times} times its usual: {counted}; usually {max(1, round(usual))} a day"


def describe_refused(excess: Excess, limits: KeyLimits) -> str:
    """Return what was refused over one budget, in words."""
    budget = Budget(excess.what)
    most = f", most of them of agent {excess.most_of}" if excess.most_of else ""
    stored = f"; {excess.failures} of them are failures, stored under this job" if excess.failures else ""
    return (
        f"refused since {excess.since:%Y-%m-%d %H:%M} UTC: {excess.events} reports beyond the budget of "
        f"{limits.of(budget)} {WORDS[budget]}{most}{stored}"
    )


def describe(floods: Sequence[str], refused: Sequence[str]) -> str:
    """Return the message of the alert: what is too much, what was refused, and what that means."""
    shown = [
        *floods[:_AGENTS_SHOWN],
        *([f"{len(floods) - _AGENTS_SHOWN} more agents"] if len(floods) > _AGENTS_SHOWN else []),
    ]
    meaning = "Failures are accepted all the same. A success may be among what was refused: a job of this key that is called missed may have run."
    return ". ".join([*shown, *refused, meaning] if refused else shown)


def excess_event(
    key_id: str, job: str, customer_id: str, agent_id: str, now: datetime, message: str, *, is_over: bool
) -> Event:
    """Return the event that reports how the reports under a key stand: an excess is a failure, its end a success."""
    return service_event((customer_id, agent_id), excess_key(key_id, now), job, message, now, is_well=is_over)
