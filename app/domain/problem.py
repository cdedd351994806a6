"""What needs a person: open alerts, those of one cause together. Pure.

Six jobs on a full storage are one problem, and the jobs of an agent that is silent are one problem too: a person acts once on it.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from app.domain.alert import Alert, AlertKind

# In texts of one cause, numbers of three digits and more differ: process ids, sizes, times. Short ones can be exit codes.
_NUMBERS = re.compile(r"\d{3,}")
_READ_MOST = 300
_RANKS = {
    AlertKind.FAILED: 0,
    AlertKind.MISSED: 1,
    AlertKind.OVERRUN: 2,
    AlertKind.AGENT_SILENT: 3,
    AlertKind.UNCLEAR: 4,
    AlertKind.WARNING: 5,
    AlertKind.CLOCK_OFF: 6,
}


@dataclass(frozen=True, slots=True)
class NamedAlert:
    """An alert with the names of what it is about. `silenced_until`: when the silence ends that mutes it; None: none does."""

    alert: Alert
    customer: str
    agent: str
    job: str | None = None
    activity: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    in_row: int = 0
    silenced_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Cause:
    """Alerts of one cause, those that began last first. `silent_agent`: the name of the agent whose silence is the cause."""

    alerts: tuple[NamedAlert, ...]
    silent_agent: str | None = None

    @property
    def first(self) -> NamedAlert:
        """The alert that stands for all."""
        return self.alerts[0]

    @property
    def kind(self) -> AlertKind:
        """What is wrong."""
        return min((one.alert.kind for one in self.alerts), key=_RANKS.__getitem__)

    @property
    def since(self) -> datetime:
        """When the first of them began."""
        return min(one.alert.since for one in self.alerts)

    @property
    def jobs(self) -> tuple[NamedAlert, ...]:
        """Those that are about a job."""
        return tuple(one for one in self.alerts if one.alert.job_id is not None)

    @property
    def owner(self) -> str | None:
        """Who acknowledged it; None: nobody."""
        return self.first.alert.acknowledged_by

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids of its alerts."""
        return tuple(one.alert.id for one in self.alerts)


def group_problems(found: Iterable[NamedAlert]) -> list[Cause]:
    """Return the problems that these alerts make, the worst first: by kind, then the one of most jobs, then the newest."""
    alerts = list(found)
    silent = {one.alert.agent_id: one.agent for one in alerts if one.alert.kind is AlertKind.AGENT_SILENT}
    groups: dict[tuple[str, ...], list[NamedAlert]] = {}
    for one in sorted(alerts, key=lambda it: it.alert.since, reverse=True):
        groups.setdefault(_cause(one, silent), []).append(one)
    problems = [
        Cause(tuple(some), silent.get(some[0].alert.agent_id) if cause[0] == "silent" else None)
        for cause, some in groups.items()
    ]
    return sorted(problems, key=lambda it: (_RANKS[it.kind], -len(it.alerts), -it.since.timestamp()))


def _cause(one: NamedAlert, silent: Mapping[str, str]) -> tuple[str, ...]:
    alert = one.alert
    owned = (alert.acknowledged_by or "", str(one.silenced_until or ""))
    if alert.agent_id in silent and alert.kind in (AlertKind.AGENT_SILENT, AlertKind.MISSED):
        return ("silent", alert.agent_id, *owned)
    text = _NUMBERS.sub("*", (alert.message or "")[:_READ_MOST]).casefold().strip()
    if alert.kind in (AlertKind.FAILED, AlertKind.WARNING) and text:
        return ("text", alert.customer_id, alert.kind.value, text, *owned)
    return ("alert", alert.id)
