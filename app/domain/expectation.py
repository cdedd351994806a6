"""An expectation: when a job should have run. Cron in its time zone (daylight saving by cronsim, as Debian's cron), or a period. Pure."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from app.core.errors import BadInput

EARLY_MOST = timedelta(minutes=5)
FAR = timedelta(days=366 * 5)


@dataclass(frozen=True, slots=True)
class Expectation:
    """Either `cron` (five fields) with `time_zone`, or `period`. A run is missed `grace` after its slot, too long after `longest`."""

    grace: timedelta
    cron: str | None = None
    period: timedelta | None = None
    time_zone: str = "UTC"
    longest: timedelta | None = None


def check_cron(cron: str) -> None:
    """Raise BadInput unless `cron` is a five-field expression that falls due at least once in the coming years."""
    if len(cron.split()) != 5:  # noqa: PLR2004  (of six, the library takes the first for seconds)
        raise BadInput(
            "not a cron expression: exactly five fields (minute, hour, day, month, weekday)",
            code="bad_cron",
            field="cron",
        )
    try:
        due = next(CronSim(cron, datetime(2026, 1, 1, tzinfo=UTC)), None)
    except CronSimError as wrong:
        raise BadInput(f"not a cron expression: {wrong}", code="bad_cron", field="cron") from wrong
    if due is None:
        raise BadInput("this cron expression never falls due", code="bad_cron", field="cron")


def slot_after(expectation: Expectation, moment: datetime) -> datetime:
    """Give the first slot strictly after `moment`, in UTC. For a period: one period after `moment`."""
    if expectation.period is not None:
        return moment + expectation.period
    slots = CronSim(expectation.cron or "", moment.astimezone(ZoneInfo(expectation.time_zone)))
    slot = next(slots, None)
    return (slot or moment + FAR).astimezone(UTC)


def too_long_at(expectation: Expectation, began: datetime) -> datetime:
    """Say from when a run takes too long.

    Where nobody said how long it may take: when a second one after it is overdue and none has ended since. Else a backup that
    begins each night and is killed each night would never be missed, for it came, and never have failed, for it did not end.
    """
    if expectation.longest is not None:
        return began + expectation.longest
    return slot_after(expectation, slot_after(expectation, began)) + expectation.grace


def earliness(expectation: Expectation, slot: datetime) -> timedelta:
    """How long before its slot a run still fills it, for clocks differ: five minutes, the grace or a quarter of the gap, whichever is least."""
    if expectation.period is not None:
        return timedelta(0)
    return min(EARLY_MOST, expectation.grace, (slot_after(expectation, slot) - slot) / 4)


def next_slot(
    expectation: Expectation, came_at: datetime | None, last_slot: datetime | None, since: datetime
) -> tuple[datetime | None, datetime]:
    """Give (the slot that is settled, the slot that is awaited).

    `came_at` is when the job last showed itself, `last_slot` the newest slot known to be filled or missed, `since` when the
    expectation began. A run settles every slot up to its own time, and one that it came slightly too early for.
    """
    if expectation.period is not None:
        base = max(moment for moment in (came_at, last_slot, since) if moment is not None)
        return (base, base + expectation.period)
    settled = last_slot
    awaited = slot_after(expectation, max(last_slot or since, since))
    if came_at is not None:
        # One step from the run itself, not slot by slot: a job of every minute that was away for a year costs the same.
        first = slot_after(expectation, came_at)
        filled_early = came_at >= first - earliness(expectation, first)
        after_run = slot_after(expectation, first) if filled_early else first
        if after_run > awaited:
            settled, awaited = (first if filled_early else came_at), after_run
    return (settled, awaited)


def last_slot_until(expectation: Expectation, moment: datetime) -> datetime | None:
    """Give the newest slot at or before `moment`, in UTC; None for a period, whose slots hang on its runs."""
    if expectation.period is not None:
        return None
    just_after = moment.astimezone(ZoneInfo(expectation.time_zone)) + timedelta(minutes=1)
    for slot in CronSim(expectation.cron or "", just_after, reverse=True):
        if slot <= moment:
            return slot.astimezone(UTC)
    return None
