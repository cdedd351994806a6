"""Find out that a job's runs always come the same whole number of hours before or after the expected time: its time zone may be wrong.

Pure.
"""

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta

from app.domain.cadence import run_times
from app.domain.expectation import Expectation, overdue_time, slot_after
from app.domain.run import Run
from app.domain.slots import last_slot_until

RUNS_READ = 14  # the newest ended runs of a job, the missed ones among them
_LEAST_RUNS = 3
_HOUR, _NEARLY_A_DAY = timedelta(hours=1), timedelta(hours=20)
_EARLY, _LATE = timedelta(minutes=5), timedelta(minutes=25)  # a run is seldom exactly on time


def zone_hint(expectation: Expectation | None, runs: Iterable[Run], gettext: Callable[[str], str] = str) -> str | None:
    """Return a sentence for the administrator if the newest runs all came the same number of hours too early or too late; else None.

    `gettext` translates it; without it, it is English.
    """
    if expectation is None or expectation.cron is None:
        return None
    came = [run.reported for run in run_times(runs)][-_LEAST_RUNS:]
    if len({moment.date() for moment in came}) < _LEAST_RUNS:
        return None
    hours = {_hours_off(expectation, moment) for moment in came}
    off = hours.pop()
    if hours or not off:
        return None
    if off > 0:
        how_many = gettext("1 hour after") if off == 1 else gettext("%(n)s hours after") % {"n": off}
    else:
        how_many = gettext("1 hour before") if off == -1 else gettext("%(n)s hours before") % {"n": -off}
    text = gettext(
        "Its last %(runs)s runs came %(how_many)s the expected time. Check the time zone of its expectation"
        " (%(zone)s): the scheduler that starts the job may use a different one."
    )
    return text % {"runs": _LEAST_RUNS, "how_many": how_many, "zone": expectation.time_zone}


def _hours_off(expectation: Expectation, came: datetime) -> int | None:
    """Return how many whole hours after the nearest slot a run came (negative: before it).

    None if the run was in time, or the difference is not a whole number of hours.
    """
    before = last_slot_until(expectation.cron or "", expectation.time_zone, came)
    after = slot_after(expectation, came)
    if before is None or after - before < _NEARLY_A_DAY:
        return None
    slot = before if came - before <= after - came else after
    hours = round((came - slot) / _HOUR)
    if not -_EARLY <= came - slot - hours * _HOUR <= _LATE:
        return None
    is_met = slot <= came <= overdue_time(expectation, slot)
    return None if hours == 0 or is_met else hours
