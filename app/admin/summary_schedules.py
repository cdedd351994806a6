"""Summary schedules: when a summary goes to whom. A change of its times moves the next one, and never sends one twice."""

from app.admin.editing import Editor, Noun, Values
from app.admin.references import check_customer, check_recipients
from app.domain.calendar import Frequency, Recurrence, next_time
from app.domain.record import Record
from app.store.summary_schedules import SUMMARY_SCHEDULES
from app.store.transactions import WriteTx

_TIMES = ("enabled", "every", "hour", "minute", "weekday", "month_day", "time_zone")


async def _prepare(tx: WriteTx, values: Values, before: Record | None, by: Editor) -> Values:
    await check_customer(tx, values.get("customer_id"))
    await check_recipients(tx, values.get("recipients", ()))
    if before is None:
        values = {**values, "last_number": 0}
    if any(name in values for name in _TIMES):
        values = {**values, "next_at": None}
        whole = {**(before.fields if before else {}), **values}
        if whole["enabled"]:
            values["next_at"] = next_time(_cadence(whole), by.at)
    return values


def _cadence(fields: Values) -> Recurrence:
    return Recurrence(
        every=Frequency(fields["every"]),
        hour=fields["hour"],
        minute=fields["minute"],
        weekday=fields["weekday"],
        month_day=fields["month_day"],
        time_zone=fields["time_zone"],
    )


NOUN = Noun("summary schedule", SUMMARY_SCHEDULES, _prepare)
