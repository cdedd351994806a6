"""The budgets of keys, in the memory of this process: token buckets, whose cost does not grow with what was sent.

Several server processes count for themselves, so that a key's holder gets its budgets once from each; only the bytes of the day are shared, and
survive a restart: each process adds them to the key in the database once a minute (intake/usage.py).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import ceil
from typing import Final

from app.core import metrics
from app.core.errors import OverBudget
from app.core.settings import Settings
from app.domain.budget import WORDS, Budget, KeyLimits, is_routine, limits_of
from app.domain.key import Key
from app.store.intake import NewEvent
from programs.protocol import report as protocol

METERS_MOST = 10_000  # keys in use whose state is kept; the one that was used first is forgotten first
NAMES_MOST = 20  # agents that are counted for each budget and key, to name the one that sends the most
MINUTE_S, HOUR_S, DAY_S = 60.0, 3600.0, 86_400.0
_DAY: Final = 86_400
LOG_KEPT = 1024  # bytes of the log of a failure that is beyond the bytes of the day


@dataclass(frozen=True, slots=True)
class SenderKey:
    """The key under which events come: its limits, and the bytes of its day so far, as the database knew them.

    `day`: number of the day since 1970, in UTC.
    """

    id: str
    name: str
    hint: str
    customer_id: str
    limits: KeyLimits
    day: int = 0
    day_bytes: int = 0


def sender_key(key: Key, settings: Settings) -> SenderKey:
    """Return what budgets need of a key."""
    limits = limits_of(key, settings)
    return SenderKey(key.id, key.name, key.hint, key.customer_id or "", limits, key.bytes_day or 0, key.bytes_used)


class Bucket:
    """As many tokens as are used in `window_s`, filled evenly. The times are seconds since 1970; a clock that is set back fills nothing."""

    __slots__ = ("_at", "_limit", "_window_s", "left")

    def __init__(self, limit: int, window_s: float, now: float) -> None:
        self.left = float(limit)
        self._limit, self._window_s, self._at = limit, window_s, now

    def resize(self, limit: int) -> None:
        """Change the limit: what was used stays used."""
        self.left += limit - self._limit
        self._limit = limit

    def take(self, wanted: int, now: float) -> bool:
        """Take so many tokens if all of them are there."""
        if now > self._at:
            self.left = min(float(self._limit), self.left + (now - self._at) * self._limit / self._window_s)
        self._at = now
        if self.left < wanted:
            return False
        self.left -= wanted
        return True

    def overdraw(self, wanted: int, now: float) -> bool:
        """Take tokens for what is taken in any case, at most as many again as the limit; return whether that was enough.

        So the debt of a flood of failures is over one window after it.
        """
        self.take(0, now)
        is_within = self.left - wanted >= -self._limit
        self.left = max(-float(self._limit), self.left - wanted)
        return is_within

    def seconds_until(self, wanted: int) -> float:
        """Return after how long so many tokens will be there."""
        missing = min(wanted, self._limit) - self.left
        return max(0.0, missing * self._window_s / self._limit)


@dataclass(slots=True)
class Refused:
    """How much was beyond one budget since it was written to the database, and of which agents. `failures` were stored all the same."""

    since: float
    last: float
    events: int = 0
    failures: int = 0
    by_agent: dict[str, int] = field(default_factory=dict)

    def add(self, agents: Sequence[str], now: float) -> None:
        """Count refused events by the names of their agents."""
        self.last = now
        self.events += len(agents)
        for agent in agents:
            if agent in self.by_agent or len(self.by_agent) < NAMES_MOST:
                self.by_agent[agent] = self.by_agent.get(agent, 0) + 1


class KeyMeter:
    """What one key has used."""

    __slots__ = ("_written", "agents", "day", "day_bytes", "events", "jobs", "key", "mails", "refused")

    def __init__(self, key: SenderKey, now: float) -> None:
        limits = key.limits
        self.key = key
        self.events = Bucket(limits.events_a_minute, MINUTE_S, now)
        self.agents = Bucket(limits.new_agents_an_hour, HOUR_S, now)
        self.jobs = Bucket(limits.new_jobs_an_hour, HOUR_S, now)
        self.mails = Bucket(limits.mails_a_minute, MINUTE_S, now)
        self.day, self.day_bytes, self._written = key.day, key.day_bytes, key.day_bytes
        self.refused: dict[Budget, Refused] = {}

    def follow(self, key: SenderKey) -> None:
        """Take over what was read of the key again: its limits, and the bytes that other processes counted."""
        if key.limits != self.key.limits:
            self.events.resize(key.limits.events_a_minute)
            self.agents.resize(key.limits.new_agents_an_hour)
            self.jobs.resize(key.limits.new_jobs_an_hour)
        if key.day == self.day:
            self.day_bytes = max(self.day_bytes, key.day_bytes + self.day_bytes - self._written)
            self._written = max(self._written, key.day_bytes)
        self.key = key

    def bytes_left(self, now: float) -> int:
        """Return how many bytes are left of the day."""
        day = int(now // _DAY)
        if day > self.day:
            self.day, self.day_bytes, self._written = day, 0, 0
        return self.key.limits.bytes_a_day - self.day_bytes

    @property
    def unwritten(self) -> int:
        """Bytes of the day that the database does not know of yet."""
        return self.day_bytes - self._written

    def note_written(self, sent: int) -> None:
        """Note that the database knows of so many more bytes."""
        self._written += sent

    def take_refused(self) -> dict[Budget, Refused]:
        """Return what was refused since the last call."""
        refused, self.refused = self.refused, {}
        return refused

    def refuse(self, budget: Budget, agents: Sequence[str], now: float, *, failures: int = 0) -> OverBudget:
        """Count what is beyond a budget, by agent, and return the answer. `failures` of it are stored under the key's own job."""
        refused = self.refused.setdefault(budget, Refused(now, now))
        refused.add(agents, now)
        refused.failures += failures
        metrics.OVER_BUDGET.labels(budget.value).inc(len(agents))
        return self.over(budget, len(agents), now)

    def over(self, budget: Budget, wanted: int, now: float) -> OverBudget:
        """Return the answer beyond a budget, with the seconds after which so much will be accepted."""
        match budget:
            case Budget.EVENTS:
                wait_s = self.events.seconds_until(wanted)
            case Budget.AGENTS:
                wait_s = self.agents.seconds_until(wanted)
            case Budget.JOBS:
                wait_s = self.jobs.seconds_until(wanted)
            case Budget.MAILS:
                wait_s = self.mails.seconds_until(wanted)
            case Budget.BYTES:
                wait_s = _DAY - now % _DAY
        limit = self.key.limits.of(budget)
        detail = f"this key is beyond its budget of {limit} {WORDS[budget]}; failures are accepted all the same"
        return OverBudget(detail, code=f"{protocol.LATER}{budget}", retry_after=max(1, ceil(wait_s)))


@dataclass(frozen=True, slots=True)
class BudgetRefusal:
    """The events of a request that are refused, by index, and the answer. `cuts_logs`: those that are taken keep only the ends of their logs."""

    indexes: frozenset[int]
    answer: OverBudget | None
    cuts_logs: bool = False


class KeyBudgets:
    """What the keys in use have left."""

    def __init__(self) -> None:
        self.meters: dict[str, KeyMeter] = {}

    def meter(self, key: SenderKey, now: float) -> KeyMeter:
        """Return the meter of a key."""
        meter = self.meters.get(key.id)
        if meter is None:
            if len(self.meters) >= METERS_MOST:
                del self.meters[next(iter(self.meters))]
            meter = self.meters[key.id] = KeyMeter(key, now)
        elif meter.key is not key:
            meter.follow(key)
        return meter

    def admit(
        self, key: SenderKey, events: Sequence[NewEvent], agents: Sequence[str], size: int, now: float
    ) -> BudgetRefusal | None:
        """Take what a request needs from the budgets of events and bytes; return what is refused, usually nothing.

        `agents`: the name of each event's agent.
        """
        meter = self.meter(key, now)
        if size <= meter.bytes_left(now) and meter.events.take(len(events), now):
            meter.day_bytes += size
            return None
        # All trouble is taken, and as much routine as there is room for, the first first.
        is_over_bytes = size > meter.bytes_left(now)
        routine = sorted(routine_of(events))
        meter.events.overdraw(len(events) - len(routine), now)
        room = 0 if is_over_bytes else min(len(routine), max(0, int(meter.events.left)))
        meter.events.take(room, now)
        refused = routine[room:]
        meter.day_bytes += size * (len(events) - len(refused)) // len(events)
        if not refused:
            return BudgetRefusal(frozenset(), None, is_over_bytes) if is_over_bytes else None
        budget = Budget.BYTES if is_over_bytes else Budget.EVENTS
        return BudgetRefusal(
            frozenset(refused), meter.refuse(budget, [agents[index] for index in refused], now), is_over_bytes
        )


def routine_of(events: Sequence[NewEvent]) -> frozenset[int]:
    """Return the indexes of the events that may be refused."""
    return frozenset(index for index, event in enumerate(events) if is_routine(event.outcome, event.severity))
