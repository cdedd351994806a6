"""A job's cadence, learned from its last runs and proposed as an expectation: a cron where the times of day agree, else a period. Pure.

A false alarm costs trust, so whatever the runs leave open is decided in the job's favour. Until the runs span a week, the job may
rest for some days, because five working days look like daily until then. A proposal must also fit the runs that it was made from.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import pairwise

from app.domain.cron_fit import CronFit, fit_cron
from app.domain.event import RunOutcome
from app.domain.expectation import Expectation, next_slot, overdue_time
from app.domain.run import Run

MIN_RUNS = 5  # before anything is proposed
MAX_RUNS = 200  # that are read at most; of an hourly job, a week
MAX_UNSEEN_REST = timedelta(
    days=3
)  # the longest rest that is allowed before it was seen: from Friday's last run to Monday's first
_WEEK, _DAY, _HOUR = timedelta(days=7), timedelta(days=1), timedelta(hours=1)
_SHORTEST_SPAN = timedelta(hours=2)  # five tries of a command in a row are no cadence
_CHECKED = 50  # runs that a proposal is checked against; more would only take longer
_ENOUGH_TO_SKIP_ONE = 10  # runs from which on one in ten may be an exception
_NEVER_RESTS = 0.8  # of the runs that fit into a day, on every day of a week: the job never rests


@dataclass(frozen=True, slots=True)
class RunTimes:
    """The times of one run: when it began as far as is known, when it first reported, and its duration where both ends were reported."""

    began: datetime
    reported: datetime
    lasted: timedelta | None = None


_NO_END = (
    None,
    RunOutcome.MISSED,
    RunOutcome.OVERRUN,
    RunOutcome.SUPERSEDED,
    RunOutcome.UNCLEAR,
)  # or nobody knows what it was


def run_times(runs: Iterable[Run]) -> list[RunTimes]:
    """Return the times of the runs that took place, oldest first.

    A run that reported only its end is taken to have begun as long before as its measured duration.
    """
    found = []
    for run in runs:
        if run.ended_at is None or run.outcome in _NO_END:
            continue
        if run.started_at is not None and run.started_at <= run.ended_at:
            found.append(RunTimes(run.started_at, run.started_at, run.ended_at - run.started_at))
        else:
            took = timedelta(seconds=min(max(run.duration_s, 0), _WEEK.total_seconds()))
            found.append(RunTimes(run.ended_at - took, run.ended_at))
    return sorted(found, key=lambda run: (run.began, run.reported))


def propose(seen: Sequence[RunTimes], zones: Iterable[str], per_day: Sequence[int] = ()) -> Expectation | None:
    """Return the expectation that fits `seen` (oldest first), or None where there is no cadence.

    `zones`: the time zones in which its times of day may be set, the likeliest first. `per_day`: how many runs each of the last
    seven full days had, for a job that runs so often that `seen` does not reach back a week.
    """
    # Runs that came soon after another run are left out: retries and manual tests.
    soon = usual_gap([run.began for run in seen]) / 4
    kept: list[RunTimes] = []
    for run in seen:
        if not kept or run.began - kept[-1].began >= soon:
            kept.append(run)
    if len(kept) < MIN_RUNS or kept[-1].began - kept[0].began < _SHORTEST_SPAN:
        return None
    began = [run.began for run in kept]
    fits = [fit for zone in dict.fromkeys(zones) if (fit := fit_cron(began, usual_gap(began), zone))]
    best = max(fits, key=lambda fit: (len(fit.behind), -fit.spread), default=None)  # of equals, the first
    cron, period = _as_cron(best, kept) if best else None, _as_period(kept, per_day)
    for made in (period, cron) if best and _may_leave(best, kept) else (cron, period):
        if made is not None and _would_have_held(made, kept):
            # Surely too long, where enough runs reported both ends: three times the longest, one hour at least.
            lasted = [run.lasted for run in kept if run.lasted is not None]
            longest = _rounded_up(max(*lasted, _HOUR / 3) * 3) if len(lasted) >= MIN_RUNS else None
            return replace(made, longest=longest)
    return None


def usual_gap(moments: Sequence[datetime]) -> timedelta:
    """Return the upper quartile of the gaps from run to run: retries and manual runs make short ones."""
    gaps = sorted(later - earlier for earlier, later in pairwise(moments))
    return gaps[(len(gaps) - 1) * 3 // 4] if gaps else timedelta(0)


def _as_cron(fit: CronFit, kept: Sequence[RunTimes]) -> Expectation:
    gap = usual_gap([run.began for run in kept])
    lags = {run.began: run.reported - run.began for run in kept}
    late = max(lags[began] + behind for began, behind in fit.behind.items())
    span = kept[-1].began - kept[0].began
    grace = late + max(_least_grace(gap), fit.spread)
    return Expectation(grace=_rounded_up(grace) + _unseen_rest(span, gap), cron=fit.cron, time_zone=fit.zone)


def _may_leave(fit: CronFit, kept: Sequence[RunTimes]) -> bool:
    """Return whether the runs may be those of a timer that counts from its last run, and so may soon come later than the cron allows.

    A weekly timer that varies by some hours keeps to a time of day for weeks by chance. One gap in ten may be an exception.
    """
    gaps = sorted(later.reported - earlier.reported for earlier, later in pairwise(kept))
    exceptions, usual = len(gaps) // _ENOUGH_TO_SKIP_ONE, gaps[len(gaps) // 2]
    longest, shortest = gaps[-1 - exceptions], gaps[exceptions]
    if usual < _DAY * 0.9:
        return False
    whole_days = round(usual / _DAY) * _DAY
    # A month has 28 to 31 days, and working days have a rest: no timer has such gaps.
    if longest > usual * 1.1 or shortest < usual * 0.9 or max(longest - whole_days, whole_days - shortest) > _DAY / 2:
        return False
    if len(kept) - len(fit.behind) > len(kept) // _ENOUGH_TO_SKIP_ONE:
        return True  # it has left the times already
    return longest - whole_days + (longest - shortest) > max(_least_grace(usual), fit.spread)


def _as_period(kept: Sequence[RunTimes], per_day: Sequence[int]) -> Expectation | None:
    reported = sorted(run.reported for run in kept)
    gaps = sorted(later - earlier for earlier, later in pairwise(reported))
    usual = gaps[len(gaps) // 2]
    # A job that runs several times a day and then rests for a day or more does so every weekend, as far as anyone knows.
    may_rest = usual < _DAY * 0.75 and gaps[-1] - usual >= _DAY * 0.9
    exceptions = 0 if may_rest or gaps[-1] <= usual * 1.5 else len(gaps) // _ENOUGH_TO_SKIP_ONE
    longest, shortest = gaps[-1 - exceptions], gaps[0]
    if len(kept) < _ENOUGH_TO_SKIP_ONE:
        if longest > usual * 1.5 or shortest < usual / 2:
            return None
    elif longest > usual * 4 or sorted(abs(gap - usual) for gap in gaps)[len(gaps) // 2] > usual * 0.3:
        return None
    never_rests = len(per_day) == 7 and min(per_day) * usual >= _DAY * _NEVER_RESTS  # noqa: PLR2004  (days of a week)
    rest = timedelta(0) if never_rests else _unseen_rest(reported[-1] - reported[0], usual)
    grace = max(_least_grace(longest, _DAY), longest - shortest)
    return Expectation(grace=_rounded_up(grace) + rest, period=_rounded_up(longest))


def _least_grace(gap: timedelta, most: timedelta = 6 * _HOUR) -> timedelta:
    """Return the least grace: a run may come later than any run so far."""
    return min(max(gap / 8, timedelta(minutes=10)), most)


def _unseen_rest(span: timedelta, gap: timedelta) -> timedelta:
    """Return how much longer to wait until the runs span a whole week: by then the weekday of the first run comes again."""
    return min(max(_WEEK - span - gap, timedelta(0)), MAX_UNSEEN_REST)


def _rounded_up(length: timedelta) -> timedelta:
    """Round up to a duration that a person would choose: 5 minutes up to an hour, 15 minutes up to six hours, then whole hours."""
    step = timedelta(minutes=5 if length <= _HOUR else 15 if length <= 6 * _HOUR else 60)
    return -(-length // step) * step


def _would_have_held(expectation: Expectation, kept: Sequence[RunTimes]) -> bool:
    """Return whether at most one in ten of these runs would have been reported missed before it came."""
    reported = sorted(run.reported for run in kept)[-_CHECKED:]
    came = reported[0]
    _, slot = next_slot(expectation, came, None, came)
    missed = 0
    for moment in reported[1:]:
        missed += overdue_time(expectation, slot) < moment
        came = moment
        _, slot = next_slot(expectation, came, slot if slot <= came else None, came)
    return missed <= max(1, len(reported) // 10)
