"""The words at the head of a summary: its period, its verdict, its subject. Pure.

They never say that all is ok unless everything expected was heard and nothing was wrong: a summary that reassures falsely is worse
than none.
"""

from datetime import timedelta

from app.compose import phrases
from app.domain.mail_views import SummaryView

_DAILY, _WEEKLY, _MONTHLY = timedelta(hours=26), timedelta(days=8), timedelta(days=27)


def subject_of(story: SummaryView) -> str:
    """Word the subject: `Backups Tue 24 Nov: 2 failed, 1 missed, 3 warnings, 412 ok (no. 118)`."""
    return f"Backups {period_of(story)}: {verdict(story)} (no. {story.number:,})"


def period_of(story: SummaryView) -> str:
    """Name the period: its last day, `week to Mon 23 Nov`, `October 2026`, or both ends of an odd one."""
    where = phrases.zone(story.time_zone)
    start, end = story.period_start.astimezone(where), story.period_end.astimezone(where)
    length = story.period_end - story.period_start
    if length <= _DAILY:
        return phrases.day(end.date())
    if timedelta(days=6) <= length <= _WEEKLY:
        return f"week to {phrases.day(end.date())}"
    if length >= _MONTHLY and start.day == end.day == 1 and length < timedelta(days=32):
        return f"{phrases.FULL_MONTHS[start.month - 1]} {start.year}"
    if _MONTHLY <= length < timedelta(days=32):
        return f"month to {phrases.day(end.date())}"
    return f"{phrases.day(start.date(), end.date())} to {phrases.day(end.date())}"


def is_all_ok(story: SummaryView) -> bool:
    """Say whether every job is ok and every one that was expected was heard."""
    is_bad = story.failed or story.missed or story.warnings or story.new or story.silent_agents or story.set_aside
    is_heard = story.expected > 0 and story.heard >= story.expected
    return not is_bad and is_heard and 0 < story.ok == story.jobs


def verdict(story: SummaryView) -> str:
    """Say how the backups stand, in one line."""
    if is_all_ok(story):
        return f"all {story.ok:,} ok" + _unsettled(story)
    if story.jobs == 0:
        return ("no jobs yet" if story.heard == 0 else "no jobs to tell of") + _unsettled(story)
    counts = (
        (story.failed, f"{story.failed:,} failed"),
        (story.missed, f"{story.missed:,} missed"),
        (story.warnings, phrases.count(story.warnings, "warning")),
        (len(story.silent_agents), phrases.count(len(story.silent_agents), "agent") + " silent"),
        (story.ok, f"{story.ok:,} ok"),
        (story.new, f"{story.new:,} new"),
    )
    return ", ".join(said for number, said in counts if number) + _unheard(story) + _unsettled(story)


def headline_of(story: SummaryView) -> str:
    """Say what is wrong, or the whole verdict if nothing is: beside the headline stand the counts."""
    wrong = ((story.failed, f"{story.failed:,} failed"), (story.missed, f"{story.missed:,} missed"))
    said = ", ".join(words for number, words in wrong if number) or verdict(story)
    return said[:1].upper() + said[1:]


def _unheard(story: SummaryView) -> str:
    """Say what the counts hide: jobs that nobody heard from and that are not told as missed."""
    if story.heard == 0:
        return (
            ", none was expected and none heard"
            if story.expected == 0
            else f", none heard of {story.expected:,} expected"
        )
    if story.expected == 0:
        return ", none was expected"
    quiet = story.expected - story.heard
    return f", heard from {story.heard:,} of {story.expected:,}" if quiet > story.missed else ""


def _unsettled(story: SummaryView) -> str:
    """Say what we failed at: nobody was told, or an event was not decided on, and what it says may be a failure."""
    undelivered = f", {phrases.count(story.undelivered, 'message')} undelivered" if story.undelivered else ""
    return undelivered + (f", {phrases.count(story.set_aside, 'event')} set aside" if story.set_aside else "")


def tone_of(story: SummaryView) -> str:
    """Give the colour that the eye meets first: of the worst thing told."""
    if story.failed:
        return "failed"
    if story.missed or story.silent_agents or (story.heard < story.expected):
        return "missed"
    if story.warnings or story.undelivered or story.set_aside:
        return "warning"
    return "ok" if is_all_ok(story) else "none"
