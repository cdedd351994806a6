"""The subject and the headline of a summary: its period and how the backups are. Pure.

They say that all is ok only if every expected job was heard from and nothing was wrong: a wrong "all ok" is worse than no summary.
"""

from datetime import timedelta

from app.compose import phrases
from app.domain.mail_views import SummaryView

_DAILY, _WEEKLY, _MONTHLY = timedelta(hours=26), timedelta(days=8), timedelta(days=27)


def subject_of(view: SummaryView) -> str:
    """Return the subject: `Backups Tue 24 Nov: 2 failed, 1 missed, 3 warnings, 412 ok (no. 118)`."""
    return f"Backups {period_of(view)}: {verdict(view)} (no. {view.number:,})"


def period_of(view: SummaryView) -> str:
    """Return the period: its last day, `week to Mon 23 Nov`, `October 2026`, or both ends of an irregular one."""
    where = phrases.zone(view.time_zone)
    start, end = view.period_start.astimezone(where), view.period_end.astimezone(where)
    length = view.period_end - view.period_start
    if length <= _DAILY:
        return phrases.day(end.date())
    if timedelta(days=6) <= length <= _WEEKLY:
        return f"week to {phrases.day(end.date())}"
    if length >= _MONTHLY and start.day == end.day == 1 and length < timedelta(days=32):
        return f"{phrases.FULL_MONTHS[start.month - 1]} {start.year}"
    if _MONTHLY <= length < timedelta(days=32):
        return f"month to {phrases.day(end.date())}"
    return f"{phrases.day(start.date(), end.date())} to {phrases.day(end.date())}"


def is_all_ok(view: SummaryView) -> bool:
    """Return whether every job is ok, every expected job was heard from, and no run of a longer period failed or was missed."""
    is_bad = (
        view.failed
        or view.missed
        or view.overrun
        or view.unclear
        or view.unclear_texts
        or view.warnings
        or view.new
        or view.silent_agents
        or view.set_aside
        or _bad_runs(view)
    )
    is_heard = view.expected > 0 and view.heard >= view.expected
    return not is_bad and is_heard and 0 < view.ok == view.jobs


def verdict(view: SummaryView) -> str:
    """Return how the backups are, in one line."""
    if is_all_ok(view):
        return f"all {view.ok:,} ok" + _unsettled(view)
    if view.jobs == 0:
        return ("no jobs yet" if view.heard == 0 else "no jobs in this summary") + _unsettled(view)
    counts = (
        (view.failed, f"{view.failed:,} failed"),
        (view.missed, f"{view.missed:,} missed"),
        (view.overrun, f"{view.overrun:,} running too long"),
        (view.unclear, f"{view.unclear:,} unclear"),
        (view.warnings, phrases.count(view.warnings, "warning")),
        (len(view.silent_agents), phrases.count(len(view.silent_agents), "agent") + " silent"),
        (view.ok, f"{view.ok:,} ok"),
        (view.new, f"{view.new:,} new"),
    )
    return ", ".join(text for number, text in counts if number) + _unheard(view) + _unsettled(view) + _bad_runs(view)


def runs_of(failures: int, missed: int) -> str:
    """Return `30 failed and 2 missed runs in the period`; empty if there is none."""
    parts = [f"{number:,} {word}" for number, word in ((failures, "failed"), (missed, "missed")) if number]
    return f"{' and '.join(parts)} {'run' if failures + missed == 1 else 'runs'} in the period" if parts else ""


def _bad_runs(view: SummaryView) -> str:
    """Return what went wrong in a longer period: the states of the jobs tell only how it ended."""
    wrong = "" if view.runs is None else runs_of(view.runs.failures, view.runs.missed)
    return f"; {wrong}" if wrong else ""


def headline_of(view: SummaryView) -> str:
    """Return what failed, what was missed and what is unclear, or the whole verdict if nothing did: the other counts are below the headline."""
    wrong = (
        (view.failed, f"{view.failed:,} failed"),
        (view.missed, f"{view.missed:,} missed"),
        (view.overrun, f"{view.overrun:,} running too long"),
        (view.unclear, f"{view.unclear:,} unclear"),
    )
    headline = ", ".join(text for number, text in wrong if number) or verdict(view)
    return headline[:1].upper() + headline[1:]


def _unheard(view: SummaryView) -> str:
    """Return what the counts do not show: jobs that were not heard from and that are not counted as missed."""
    if view.heard == 0:
        return (
            ", none was expected and none reported"
            if view.expected == 0
            else f", none of {view.expected:,} expected reported"
        )
    if view.expected == 0:
        return ", none was expected"
    quiet = view.expected - view.heard
    return f", {view.heard:,} of {view.expected:,} reported" if quiet > view.missed else ""


def _unsettled(view: SummaryView) -> str:
    """Return what this service failed to do: undelivered messages, and events that were not processed and may report a failure."""
    undelivered = f", {phrases.count(view.undelivered, 'message')} undelivered" if view.undelivered else ""
    undelivered += f", {view.bounced:,} came back" if view.bounced else ""
    return undelivered + (f", {phrases.count(view.set_aside, 'event')} set aside" if view.set_aside else "")


def tone_of(view: SummaryView) -> str:
    """Return the colour of the mail's head: that of the worst thing in the summary."""
    if view.failed:
        return "failed"
    if view.missed or view.overrun or view.silent_agents or (view.heard < view.expected):
        return "missed"
    if view.unclear:
        return "unclear"
    if view.warnings or view.undelivered or view.bounced or view.set_aside or _bad_runs(view):
        return "warning"
    return "ok" if is_all_ok(view) else "none"
