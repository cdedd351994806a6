"""The subject of an alert mail: what is wrong, where, and the one fact that tells how bad. Pure.

It is the only part that many read, on a locked phone: state first, at most 120 characters, no foreign control character.
"""

import re
from collections import Counter
from collections.abc import Sequence

from app.compose import phrases
from app.compose.alert_card import CLOSED, OK_AGAIN, STATES, name_of, newest_moment, runs_of, state_of, trouble_of
from app.domain.alert import AlertKind
from app.domain.mail_views import AlertView
from app.domain.notice import NoticeKind

LIMIT = 120
_WIDTH = 8  # of the longest usual state, so that subjects stand in columns in a list of mails
_NUMBER = re.compile(r"\d+")
_ORDER = tuple(
    dict.fromkeys([*(prefix + state for state in STATES.values() for prefix in ("", "STILL ")), CLOSED, OK_AGAIN])
)
_WAS = {
    AlertKind.FAILED: "failing since",
    AlertKind.WARNING: "warnings since",
    AlertKind.MISSED: "missed since",
    AlertKind.OVERRUN: "ran since",
    AlertKind.AGENT_SILENT: "silent since",
}


def subject_of(stories: Sequence[AlertView]) -> str:
    """Word the subject of one alert, or of a group told together."""
    words = _of_one(stories[0]) if len(stories) == 1 else _of_group(stories)
    return phrases.shorten(words.strip(), LIMIT)


def _of_one(story: AlertView) -> str:
    front = f"{state_of(story).ljust(_WIDTH)} {phrases.shorten(name_of(story), 80)}"
    return front + (_recovery(story) if story.what is NoticeKind.RECOVERED else _trouble(story))


def _trouble(story: AlertView) -> str:
    alert, where, beside = story.alert, phrases.zone(story.time_zone), newest_moment(story)
    match alert.kind:
        case AlertKind.MISSED:
            expected = phrases.brief_moment(story.expected_at or alert.since, where, beside)
            last = story.last_success_at
            success = (
                "no success so far" if last is None else f"last success {phrases.brief_moment(last, where, beside)}"
            )
            return f": expected {expected}, {success}"
        case AlertKind.OVERRUN:
            return f": running since {phrases.brief_moment(alert.since, where, beside)}"
        case AlertKind.AGENT_SILENT:
            return f": not heard since {phrases.brief_moment(alert.since, where, beside)}"
        case AlertKind.FAILED | AlertKind.WARNING:
            return f": {trouble_of(story)}"


def _recovery(story: AlertView) -> str:
    """Say what it was. Runs are counted for failures only: with warnings, an alert opens after several, and knows not how many."""
    kind = story.alert.kind
    since = phrases.brief_moment(story.alert.since, phrases.zone(story.time_zone), newest_moment(story))
    runs = f", {phrases.count(runs_of(story), 'run')}" if kind is AlertKind.FAILED else ""
    now = (
        "failing"
        if story.failures_in_row
        else "missed"
        if story.missed_in_row
        else "with warnings"
        if story.warnings_in_row
        else ""
    )
    return f", {_WAS[kind]} {since}{runs}" + (f"; now {now}" if now else "")


def _of_group(stories: Sequence[AlertView]) -> str:
    states = Counter(state_of(story) for story in stories)
    told = ", ".join(f"{states[state]:,} {state}" for state in _ORDER if states[state])
    customers = {story.customer for story in stories}
    place = phrases.one_line(stories[0].customer, 40) if len(customers) == 1 else f"{len(customers):,} customers"
    what = _in_common(stories)
    return f"{told} at {place}" + (f": {what}" if what else "")


def _in_common(stories: Sequence[AlertView]) -> str:
    """Give the error that several share, numbers aside (a lock names its process); without one, the names of what is down."""
    down = [story for story in stories if story.what is not NoticeKind.RECOVERED] or list(stories)
    broken = [
        story
        for story in down
        if story.alert.kind in (AlertKind.FAILED, AlertKind.WARNING) and story.what is not NoticeKind.RECOVERED
    ]
    errors = [trouble_of(story) for story in broken]
    shared = Counter(_NUMBER.sub("0", error) for error in errors if error)
    alike, times = shared.most_common(1)[0] if shared else ("", 0)
    if times > 1:
        return next(error for error in errors if _NUMBER.sub("0", error) == alike)
    names = dict.fromkeys(phrases.one_line(story.job or story.agent, 40) for story in down)
    return ", ".join(list(names)[:8]) + (f": {errors[0]}" if len(down) == 1 and errors and errors[0] else "")
