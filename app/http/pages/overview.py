"""What several pages know of the whole: open problems with their silences, and the counts of jobs, for one reader."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Generic, TypeVar

from fastapi import Request

from app.context import AppContext
from app.decide.mute import muting_silence
from app.domain.alert import AlertKind
from app.domain.problem import Cause, NamedAlert, group_problems
from app.domain.route import Silence
from app.store.alerts import Customers, read_open_alerts
from app.store.fleet import CustomerCounts, count_states
from app.store.routing import current_silences
from app.store.transactions import ReadTx

_STAMPS_MOST = 1_000
_READS_LAST_S, _READS_MOST = 2.0, 50
Found = TypeVar("Found")
COUNTS_LAST_S = 3.0  # 50 people who look at the same time cost one count of 100 000 jobs, not 50


class FleetCounts:
    """The counts of all customers, kept for some seconds. One reader counts, and the others wait for it."""

    def __init__(self, context: AppContext) -> None:
        self._context = context
        self._lock = asyncio.Lock()
        self._counted: tuple[CustomerCounts, ...] = ()
        self._at: datetime | None = None
        self._is_forgotten = False  # since the count began that runs or was the last
        self._stamps: set[str] = set()  # those that were new since the process began, as far as there is room

    async def of(self, seen: Customers, stamp: str = "") -> list[CustomerCounts]:
        """Return the counts of the customers that may be seen, by name.

        With a `stamp` that is new here they are counted again: a page that is read because something happened must not show the
        counts of before that, and it is not read again until the next thing happens.
        """
        async with self._lock:
            now = self._context.clock()
            is_new = bool(stamp) and stamp not in self._stamps
            if is_new or self._at is None or not 0 <= (now - self._at).total_seconds() < COUNTS_LAST_S:
                self._is_forgotten = False
                async with self._context.database.read() as tx:
                    self._counted = tuple(await count_states(tx, None, now))
                self._at = None if self._is_forgotten else now  # what changed meanwhile may not be counted
            if is_new:
                self._stamps = {stamp, *(self._stamps if len(self._stamps) < _STAMPS_MOST else ())}
        return [one for one in self._counted if seen is None or one.id in seen]

    def forget(self) -> None:
        """Count again at the next request: somebody changed something and looks at what became of it."""
        self._at, self._is_forgotten = None, True


class KeptReads(Generic[Found]):
    """What was read for those who see the same customers, kept for two seconds and until something happens there. One reads, the others wait."""

    def __init__(self) -> None:
        self._kept: dict[tuple[frozenset[str] | None, str], tuple[float, Found]] = {}
        self._lock = asyncio.Lock()

    async def of(self, seen: Customers, stamp: str, read: Callable[[], Awaitable[Found]]) -> Found:
        """Return what `read` returned for these customers and this `stamp`; without a stamp, what it returns now."""
        if not stamp:
            return await read()
        key = None if seen is None else frozenset(seen), stamp
        async with self._lock:
            now = asyncio.get_running_loop().time()
            kept = self._kept = {own: one for own, one in self._kept.items() if now - one[0] < _READS_LAST_S}
            if key in kept:
                return kept[key][1]
            found = await read()
            if len(kept) < _READS_MOST:
                kept[key] = now, found
            return found

    def forget(self) -> None:
        """Read again at the next request: somebody changed something and looks at what became of it."""
        self._kept = {}  # not cleared: what is being read at this moment began before the change and must not be kept


@dataclass(frozen=True, slots=True)
class Overview:
    """Open problems, without those that a silence mutes and without unclear texts, which have places of their own."""

    problems: tuple[Cause, ...]
    unclear: tuple[NamedAlert, ...]
    silenced: tuple[Cause, ...]

    @property
    def nobody(self) -> tuple[Cause, ...]:
        """Those that nobody has."""
        return tuple(one for one in self.problems if one.owner is None)

    @property
    def somebody(self) -> tuple[Cause, ...]:
        """Those that somebody has."""
        return tuple(one for one in self.problems if one.owner is not None)

    @property
    def silent_agents(self) -> tuple[NamedAlert, ...]:
        """The agents that are silent, also those that are silenced, the longest first."""
        shown = (*self.problems, *self.silenced)
        silent = [one for problem in shown for one in problem.alerts if one.alert.kind is AlertKind.AGENT_SILENT]
        return tuple(sorted(silent, key=lambda one: one.alert.since))

    def jobs_of(self, agent_id: str) -> int:
        """Return how many jobs of an agent are missed."""
        shown = (*self.problems, *self.silenced)
        return sum(
            one.alert.agent_id == agent_id and one.alert.kind is AlertKind.MISSED
            for problem in shown
            for one in problem.alerts
        )


async def read_overview(tx: ReadTx, context: AppContext, seen: Customers) -> Overview:
    """Return the open problems of the customers that a reader may see."""
    found = await read_open_alerts(tx, seen)
    silences = await current_silences(tx, context.clock())
    return overview_of([_with_silence(one, silences) for one in found])


def overview_of(alerts: Sequence[NamedAlert]) -> Overview:
    """Return the problems that these alerts make."""
    loud = [one for one in alerts if one.silenced_until is None]
    return Overview(
        problems=tuple(group_problems(one for one in loud if one.alert.kind is not AlertKind.UNCLEAR)),
        unclear=tuple(one for one in loud if one.alert.kind is AlertKind.UNCLEAR),
        silenced=tuple(group_problems(one for one in alerts if one.silenced_until is not None)),
    )


def counts_of(request: Request) -> FleetCounts:
    """Return the counts that this process keeps."""
    state = request.app.state
    kept: FleetCounts | None = getattr(state, "fleet_counts", None)
    if kept is None:
        kept = state.fleet_counts = FleetCounts(state.context)
    return kept


def facts_of(one: NamedAlert) -> Mapping[str, str]:
    """Return what matchers of silences and routes can test of an alert."""
    return {
        **{f"label:{name}": str(value) for name, value in one.labels.items()},
        "customer": one.customer,
        "agent": one.agent,
        "job": one.job or "",
        "activity": one.activity,
        "kind": one.alert.kind.value,
        "severity": one.alert.severity.value,
        "message": one.alert.message or "",
    }


def _with_silence(one: NamedAlert, silences: Sequence[Silence]) -> NamedAlert:
    if not silences:
        return one
    silence = muting_silence(one.alert.customer_id, facts_of(one), silences)
    return one if silence is None else replace(one, silenced_until=silence.ends_at)
