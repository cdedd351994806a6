"""Counts of each customer for pages: its jobs by state, and how its days were. The cost does not grow with the history."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

from sqlalchemy import Select, String, and_, case, func, literal_column, select

from app.domain.job_status import JobCounts
from app.store.job_states import JobChoice, count_by_customer
from app.store.prepared import Builder, Prepared
from app.store.problems import Customers, only
from app.store.tables import DAY_WITH_TROUBLE, customers, job_days
from app.store.transactions import ReadTx


@dataclass(frozen=True, slots=True)
class CustomerCounts:
    """A customer with its counts."""

    id: str
    name: str
    time_zone: str
    counts: JobCounts


def _build_days_heard(db: Builder) -> Select[tuple[str, str]]:
    wanted = db.table("wanted", customer_id=String, day=String)
    day = wanted.c.day if db.is_sqlite else func.to_date(wanted.c.day, "YYYY-MM-DD")
    # A day on which nothing went well is no good day: it has rows for what was missed.
    of_day = job_days.c.customer_id == wanted.c.customer_id, job_days.c.day == day, job_days.c.successes > 0
    any_good = select(job_days.c.job_id).where(*of_day).limit(1).correlate(wanted).exists()
    return select(wanted.c.customer_id, wanted.c.day).where(any_good)


_DAYS_HEARD = Prepared(_build_days_heard)


async def count_states(tx: ReadTx, seen: Customers, now: datetime) -> list[CustomerCounts]:
    """Return these customers with the counts of their jobs, by name."""
    counted = await count_by_customer(tx, JobChoice(), now)
    named = select(customers.c.id, customers.c.name, customers.c.time_zone).where(*only(seen, customers.c.id))
    found = [
        CustomerCounts(row.id, row.name, row.time_zone, counted.get(row.id, JobCounts()))
        for row in await tx.connection.execute(named)
    ]
    return sorted(found, key=lambda it: it.name.casefold())


@dataclass(frozen=True, slots=True)
class CustomerDay:
    """One day of a customer, in its time zone: how many jobs ended the day how. `is_heard`: whether anything came at all."""

    day: date
    failed: int = 0
    missed: int = 0
    warning: int = 0
    late: int = 0
    unclear: int = 0
    cancelled: int = 0
    is_heard: bool = False

    @property
    def word(self) -> str:
        """The worst of the day, in the words of a summary's strip."""
        for word in ("failed", "missed", "warning", "late", "unclear", "cancelled"):
            if getattr(self, word):
                return word if word != "cancelled" else ("ok" if self.is_heard else "cancelled")
        return "ok" if self.is_heard else "none"


async def customer_days(
    tx: ReadTx, customer_ids: Sequence[str], last: date, days: int
) -> dict[str, tuple[CustomerDay, ...]]:
    """Return the last days of each customer, oldest first. Read are the days of jobs on which something was wrong, and for the others whether there is any."""
    every = [last - timedelta(days=back) for back in range(days - 1, -1, -1)]
    made = {(own, day): CustomerDay(day) for own in customer_ids for day in every}
    went_well = job_days.c.successes + job_days.c.warnings > 0
    word = case(
        (and_(job_days.c.failures > 0, ~went_well), "failed"),
        (job_days.c.failures > 0, "warning"),
        (and_(job_days.c.missed > 0, went_well), "late"),
        (job_days.c.missed > 0, "missed"),
        (job_days.c.warnings > 0, "warning"),
        (job_days.c.unclear > 0, "unclear"),
        else_="cancelled",
    )
    troubled = (
        select(job_days.c.customer_id, job_days.c.day, word.label("word"), func.count().label("number"))
        .where(
            literal_column(DAY_WITH_TROUBLE),
            job_days.c.customer_id.in_(customer_ids),
            job_days.c.day >= every[0],
            job_days.c.day <= last,
        )
        .group_by(job_days.c.customer_id, job_days.c.day, word)
    )
    for row in await tx.connection.execute(troubled):
        made[row.customer_id, row.day] = replace(made[row.customer_id, row.day], **{row.word: row.number})
    for own, day in await tx.fetch(_DAYS_HEARD, wanted=[(own, day.isoformat()) for own, day in made]):
        key = own, date.fromisoformat(day)
        made[key] = replace(made[key], is_heard=True)
    return {own: tuple(made[own, day] for day in every) for own in customer_ids}
