"""Summary schedules in the database, as administrators see and edit them."""

from app.domain.summary_schedule import SummarySchedule
from app.store.repository import Page, Repository, Window, equals
from app.store.tables_managed import summary_schedules
from app.store.transactions import ReadTx

SUMMARY_SCHEDULES = Repository(
    summary_schedules,
    SummarySchedule,
    noun="summary schedule",
    prefix="sch",
    edited=(
        "name",
        "customer_id",
        "enabled",
        "every",
        "hour",
        "minute",
        "weekday",
        "month_day",
        "time_zone",
        "matchers",
        "recipients",
    ),
)


async def page_summary_schedules(
    tx: ReadTx,
    window: Window,
    *,
    customer_id: str | None = None,
    name: str | None = None,
    enabled: bool | None = None,
) -> Page[SummarySchedule]:
    """Return summary schedules in the order of their ids, filtered."""
    same = equals(summary_schedules, customer_id=customer_id, name=name, enabled=enabled)
    return await SUMMARY_SCHEDULES.page(tx, same, window)
