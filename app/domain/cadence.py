"""A job's cadence, learned from its last runs and proposed as an expectation: a cron where the times of day agree, else a period. Pure.

A false alarm costs trust, so whatever the runs leave open is read in the job's favour. Until a week was seen it may rest for
some days, for nobody can tell five working days from daily. A proposal must also have held for the runs that it was made from.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import pairwise

from app.domain.cadence_cron import Fit, fit_cron
from app.domain.event import RunOutcome
from app.domain.expectation import Expectation, next_slot
from app.domain.run import Run

LEAST = 5  # runs, before anything is proposed
LOOK = 200  # runs looked back at most; of an hourly job, a week
BRIDGE = timedelta(days=3)  # the longest rest that is granted unseen: from Friday's last run to Monday's first
_WEEK, _DAY, _HOUR = timedelta(days=7), timedelta(days=1), timedelta(hours=1)
_SHORTEST_SPAN = timedelta(hours=2)  # who tries a line five times in a row sets no cadence
_CHECKED = 50  # runs that a proposal is tried on; more would only take longer
_SURE = 10  # runs from which on the odd one out may be left out
_STEADY = 0.8  # of the runs that a day has room for, on every day of a week: the job never rests


@dataclass(frozen=True, slots=True)
class Sighting:
    """One run: when it began as far as is known, its first sign of life, and how long it took where both its ends were told."""

    begins: datetime
    heard: datetime
    lasted: timedelta | None = None


def sightings_of(runs: Iterable[Run]) -> list[Sighting]:
    """Give the runs that came, oldest first. What only ended began as long before as it says that it took."""
    found = []
    for run in runs:
        if run.ended_at is None or run.outcome in (None, RunOutcome.MISSED, RunOutcome.SUPERSEDED):
            continue
        if run.started_at is not None and run.started_at <= run.ended_at:
            found.append(Sighting(run.started_at, run.started_at, run.ended_at - run.started_at))
        else:
            took = timedelta(seconds=min(max(run.duration_s, 0), _WEEK.total_seconds()))
            found.append(Sighting(run.ended_at - took, run.ended_at))
    return sorted(found, key=lambda one: (one.begins, one.heard))


def propose(seen: Sequence[Sighting], zones: Iterable[str], per_day: Sequence[int] = ()) -> Expectation | None:
    """Give the expectation that fits `seen` (oldest first), or None where there is no cadence.

    `zones`: where its times of day may be at home, the likeliest first. `per_day`: how many runs each of the last seven full
    days had, for a job that runs too often for `seen` to reach back a week.
    """
    kept = _without_retries(seen)
    if len(kept) < LEAST or kept[-1].begins - kept[0].begins < _SHORTEST_SPAN:
        return None
    begins = [one.begins for one in kept]
    fits = [fit for zone in dict.fromkeys(zones) if (fit := fit_cron(begins, usual_gap(begins), zone))]
    best = max(fits, key=lambda fit: (len(fit.behind), -fit.spread), default=None)  # the first of equals
    for made in (_as_cron(best, kept) if best else None, _as_period(kept, per_day)):
        if made is not None and _has_held(made, kept):
            return replace(made, longest=_longest(kept))
    return None


def usual_gap(moments: Sequence[datetime]) -> timedelta:
    """Give the gap from run to run that a quarter of the gaps exceed: retries and manual runs make short ones."""
    gaps = sorted(later - one for one, later in pairwise(moments))
    return gaps[(len(gaps) - 1) * 3 // 4] if gaps else timedelta(0)


def _without_retries(seen: Sequence[Sighting]) -> list[Sighting]:
    """Leave out what came soon after another run: a retry, or somebody who tried."""
    soon = usual_gap([one.begins for one in seen]) / 4
    kept: list[Sighting] = []
    for one in seen:
        if not kept or one.begins - kept[-1].begins >= soon:
            kept.append(one)
    return kept


def _as_cron(fit: Fit, kept: Sequence[Sighting]) -> Expectation:
    gap = usual_gap([one.begins for one in kept])
    lags = {one.begins: one.heard - one.begins for one in kept}
    late = max(lags[begins] + behind for begins, behind in fit.behind.items())
    span = kept[-1].begins - kept[0].begins
    grace = late + max(_patience(gap), fit.spread)
    return Expectation(grace=_rounded_up(grace) + _bridge(span, gap), cron=fit.cron, time_zone=fit.zone)


def _as_period(kept: Sequence[Sighting], per_day: Sequence[int]) -> Expectation | None:
    heard = sorted(one.heard for one in kept)
    gaps = sorted(later - one for one, later in pairwise(heard))
    usual = gaps[len(gaps) // 2]
    odd = 0 if gaps[-1] <= usual * 1.5 else len(gaps) // _SURE
    longest, shortest = gaps[-1 - odd], gaps[0]
    if len(kept) < _SURE:
        if longest > usual * 1.5 or shortest < usual / 2:
            return None
    elif longest > usual * 4 or sorted(abs(gap - usual) for gap in gaps)[len(gaps) // 2] > usual * 0.3:
        return None
    never_rests = len(per_day) == 7 and min(per_day) * usual >= _DAY * _STEADY  # noqa: PLR2004  (days of a week)
    bridge = timedelta(0) if never_rests else _bridge(heard[-1] - heard[0], usual)
    grace = max(_patience(longest, _DAY), longest - shortest)
    return Expectation(grace=_rounded_up(grace) + bridge, period=_rounded_up(longest))


def _patience(gap: timedelta, most: timedelta = 6 * _HOUR) -> timedelta:
    """The least grace: what no run showed so far may come all the same."""
    return min(max(gap / 8, timedelta(minutes=10)), most)


def _bridge(span: timedelta, gap: timedelta) -> timedelta:
    """How much longer to wait until a whole week was seen: by then the weekday of the first run comes again."""
    return min(max(_WEEK - span - gap, timedelta(0)), BRIDGE)


def _longest(kept: Sequence[Sighting]) -> timedelta | None:
    """Give what is surely too long, where enough runs told both their ends: three times the longest, an hour at least."""
    lasted = [one.lasted for one in kept if one.lasted is not None]
    return _rounded_up(max(*lasted, _HOUR / 3) * 3) if len(lasted) >= LEAST else None


def _rounded_up(length: timedelta) -> timedelta:
    """Round to what a person would say: 5 minutes within the first hour, a quarter up to six, then whole hours."""
    step = timedelta(minutes=5 if length <= _HOUR else 15 if length <= 6 * _HOUR else 60)
    return -(-length // step) * step


def _has_held(expectation: Expectation, kept: Sequence[Sighting]) -> bool:
    """Say whether it would have called (almost) none of these runs missed: before one in ten it may, for whatever time."""
    heard = sorted(one.heard for one in kept)[-_CHECKED:]
    came = heard[0]
    _, awaited = next_slot(expectation, came, None, came)
    missed = 0
    for moment in heard[1:]:
        missed += awaited + expectation.grace < moment
        came = moment
        _, awaited = next_slot(expectation, came, awaited if awaited <= came else None, came)
    return missed <= max(1, len(heard) // 10)
