"""Which jobs and which period a summary is about, and its statements: prepared once for each kind of schedule."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import lru_cache, partial
from typing import NamedTuple
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, String, and_, bindparam, true
from sqlalchemy.sql.base import Executable

from app.core.ids import first_id_at
from app.domain.job_status import LATE_IS_KNOWN_AFTER
from app.domain.matcher import Matcher
from app.domain.summary_schedule import SummarySchedule
from app.store.job_states import IS_COUNTED
from app.store.jobs import job_matches
from app.store.prepared import Builder, Prepared
from app.store.tables import jobs
from app.store.types import Utc

SHORT_PERIOD = timedelta(hours=26)  # a day, also the one on which clocks are put back: its runs are not counted apart
STRIP_DAYS, MOST_STRIP_DAYS = 14, 62
_KEPT = 20  # kinds of schedules with matchers of which the statements are kept

START, END = bindparam("start", type_=Utc), bindparam("end", type_=Utc)
LATE_SINCE = bindparam("late_since", type_=Utc)
_CUSTOMER_ID = bindparam("customer_id", type_=String)


class ScopeKind(NamedTuple):
    """What of a schedule shows in the SQL of its summaries. All else is a parameter."""

    matchers: tuple[Matcher, ...]
    is_of_customer: bool

    @property
    def is_all(self) -> bool:
        """Whether the summary is about every job."""
        return not (self.matchers or self.is_of_customer)

    def matches(self) -> ColumnElement[bool]:
        """Return the condition that a job, joined with its agent and customer, belongs to the summary."""
        return and_(
            job_matches(None, self.matchers), self.of_customer(jobs.c.customer_id), jobs.c.created_at <= END, IS_COUNTED
        )

    def of_customer(self, column: ColumnElement[str]) -> ColumnElement[bool]:
        """Return the condition that a row belongs to the customer of the summary, if it is about one."""
        return column == _CUSTOMER_ID if self.is_of_customer else true()


@dataclass(frozen=True, slots=True)
class SummaryScope:
    """Which jobs a summary is about, and which period it covers. `first_day` and `last_day` are the days of the period.

    Most backups run at night, so the day on which a period begins in the morning belongs to the period before.
    """

    kind: ScopeKind
    customer_id: str | None
    start: datetime
    end: datetime
    first_day: date
    last_day: date

    @property
    def is_long(self) -> bool:
        """Whether the period is longer than a day: then its runs are counted, because the states tell only how it ended."""
        return self.end - self.start > SHORT_PERIOD

    @property
    def strip_days(self) -> int:
        """How many days the strip of a job has: all of the period, and two weeks at least."""
        return min(max(STRIP_DAYS, (self.last_day - self.first_day).days + 1), MOST_STRIP_DAYS)

    def parameters(self) -> Mapping[str, object]:
        """Return the values of the parameters that the statements of summaries have in common."""
        length = self.end - self.start
        return {
            "customer_id": self.customer_id,
            "start": self.start,
            "end": self.end,
            "late_since": self.end - LATE_IS_KNOWN_AFTER,
            "before": self.start - length,
            "earlier": self.start - 2 * length,
            "first_event": first_id_at("evt", self.start),
            "next_event": first_id_at("evt", self.end),
            "first_run": first_id_at("run", self.start),
        }


def scope_of(schedule: SummarySchedule, start: datetime, end: datetime) -> SummaryScope:
    """Return the scope of a schedule's summary of this period."""
    zone = ZoneInfo(schedule.time_zone)
    first, last = start.astimezone(zone), end.astimezone(zone)
    return SummaryScope(
        kind=ScopeKind(tuple(schedule.matchers), schedule.customer_id is not None),
        customer_id=schedule.customer_id,
        start=start,
        end=end,
        first_day=min(first.date() + timedelta(days=int(first.time() > time(0))), last.date()),
        last_day=last.date() - timedelta(days=int(last.time() == time(0))),
    )


class ScopedStatement:
    """A statement that differs by the kind of a schedule. Its variants without matchers are compiled at the start of the worker.

    Built and compiled for each summary, the statements would take more time than the database does for a thousand jobs.
    """

    def __init__(self, build: Callable[[ScopeKind, Builder], Executable]) -> None:
        self._build = build
        self._plain = {kind: Prepared(partial(build, kind)) for kind in map(ScopeKind, ((), ()), (False, True))}
        self._with_matchers = lru_cache(maxsize=_KEPT)(self._prepare)

    def of(self, scope: SummaryScope) -> Prepared:
        """Return the statement for this scope."""
        return self._plain.get(scope.kind) or self._with_matchers(scope.kind)

    def _prepare(self, kind: ScopeKind) -> Prepared:
        return Prepared(partial(self._build, kind), at_start=False)
