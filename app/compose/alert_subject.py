"""The subject of an alert mail: what is wrong, where, and the fact that shows how serious it is. Pure.

Many people read only the subject, on a locked phone. So the state comes first, and it has at most 120 characters and no control
characters from outside.

The state is in square brackets, and what follows is the same in all mails about one alert, as mail programs go by it. Gmail puts
mails into one conversation if their subjects are the same, apart from "Re:" and text in brackets, and their References agree
(https://workspaceupdates.googleblog.com/2019/03/threading-changes-in-gmail-conversation-view.html; on brackets:
https://github.com/TwiN/gatus/issues/1563 and https://github.com/getredash/redash/issues/1144). Exchange takes the header
Thread-Topic for the topic of the conversation if the subject ends with it ([MS-OXCMAIL] section 2.2.3.2.7).
"""

import re
from collections import Counter
from collections.abc import Sequence

from app.compose import phrases
from app.compose.alert_card import (
    ACKNOWLEDGED,
    CLOSED,
    OK_AGAIN,
    STATES,
    name_of,
    newest_moment,
    runs_of,
    state_of,
    trouble_of,
)
from app.domain.alert import AlertKind
from app.domain.mail_views import AlertView
from app.domain.notice import NoticeKind

LIMIT = 120
_TOPIC_LIMIT = 92  # so that the longest state does not cut what follows: "[OK AGAIN, now with warnings]"
_STATE = re.compile(r"\[[^\[\]]*\] ")
_NUMBER = re.compile(r"\d+")
_ORDER = tuple(
    dict.fromkeys(
        [*(prefix + state for state in STATES.values() for prefix in ("", "STILL ")), ACKNOWLEDGED, CLOSED, OK_AGAIN]
    )
)
_WAS = {
    AlertKind.FAILED: "failing since",
    AlertKind.WARNING: "warnings since",
    AlertKind.MISSED: "missed since",
    AlertKind.OVERRUN: "ran since",
    AlertKind.AGENT_SILENT: "silent since",
    AlertKind.CLOCK_OFF: "clock wrong since",
    AlertKind.UNCLEAR: "unclear since",
}


def subject_of(views: Sequence[AlertView]) -> str:
    """Return the subject for one alert, or for a group of alerts in one mail."""
    if len(views) == 1:
        view = views[0]
        is_known = view.what is NoticeKind.RECOVERED and first_topic(view) is not None
        now = _now(view) if is_known else ""
        subject = f"[{state_of(view)}{', ' if now else ''}{now}] {topic_of(view)}"
    else:
        states = Counter(state_of(view) for view in views)
        counts = ", ".join(f"{states[state]:,} {state}" for state in _ORDER if states[state])
        customers = {view.customer for view in views}
        place = phrases.one_line(views[0].customer, 40) if len(customers) == 1 else f"{len(customers):,} customers"
        what = _in_common(views)
        subject = f"{counts} at {place}" + (f": {what}" if what else "")
    return phrases.shorten(subject.strip(), LIMIT)


def topic_of(view: AlertView) -> str:
    """Return the subject without the state: the name and what is wrong. In the mail about a recovery it is that of the first mail.

    A repeated mail keeps it as long as the trouble is the same: that the error is another one now must be seen.
    """
    if view.what is NoticeKind.ACKNOWLEDGED and (first := first_topic(view)) is not None:
        return first
    if view.what is NoticeKind.RECOVERED:
        return first_topic(view) or phrases.shorten(_name(view) + _recovery(view), _TOPIC_LIMIT)
    return phrases.shorten(_name(view) + _trouble(view), _TOPIC_LIMIT)


def first_topic(view: AlertView) -> str | None:
    """Return the topic of the first mail about the alert; None if there was none, or if it was about several alerts."""
    found = _STATE.match(view.thread_subject or "")
    topic = "" if found is None else (view.thread_subject or "")[found.end() :]
    return topic if topic.startswith(_name(view)) else None


def _name(view: AlertView) -> str:
    return phrases.shorten(name_of(view), 80)


def _trouble(view: AlertView) -> str:
    alert, where, reference = view.alert, phrases.zone(view.time_zone), newest_moment(view)
    match alert.kind:
        case AlertKind.MISSED:
            expected = phrases.brief_moment(view.expected_at or alert.since, where, reference)
            last = view.last_success_at
            success = (
                "no success so far" if last is None else f"last success {phrases.brief_moment(last, where, reference)}"
            )
            return f": expected {expected}, {success}"
        case AlertKind.OVERRUN:
            return f": running since {phrases.brief_moment(alert.since, where, reference)}"
        case AlertKind.AGENT_SILENT:
            return f": no report since {phrases.brief_moment(alert.since, where, reference)}"
        case AlertKind.FAILED | AlertKind.WARNING | AlertKind.CLOCK_OFF | AlertKind.UNCLEAR:
            return f": {trouble_of(view)}"


def _recovery(view: AlertView) -> str:
    """Return what was wrong. Runs are counted only for failures: a warning alert opens after several runs and does not count them."""
    kind = view.alert.kind
    since = phrases.brief_moment(view.alert.since, phrases.zone(view.time_zone), newest_moment(view))
    runs = f", {phrases.count(runs_of(view), 'run')}" if kind is AlertKind.FAILED else ""
    return f", {_WAS[kind]} {since}{runs}" + (f"; {now}" if (now := _now(view)) else "")


def _now(view: AlertView) -> str:
    """Return how the job is though its alert is closed; empty if it is well."""
    if view.failures_in_row:
        return "now failing"
    return "now missed" if view.missed_in_row else "now with warnings" if view.warnings_in_row else ""


def _in_common(views: Sequence[AlertView]) -> str:
    """Return the error that several alerts share, ignoring numbers (a lock names its process id); without one, the names of what is down."""
    down = [view for view in views if view.what is not NoticeKind.RECOVERED] or list(views)
    broken = [
        view
        for view in down
        if view.alert.kind in (AlertKind.FAILED, AlertKind.WARNING) and view.what is not NoticeKind.RECOVERED
    ]
    errors = [trouble_of(view) for view in broken]
    shared = Counter(_NUMBER.sub("0", error) for error in errors if error)
    alike, times = shared.most_common(1)[0] if shared else ("", 0)
    if times > 1:
        return next(error for error in errors if _NUMBER.sub("0", error) == alike)
    names = dict.fromkeys(phrases.one_line(view.job or view.agent, 40) for view in down)
    return ", ".join(list(names)[:8]) + (f": {errors[0]}" if len(down) == 1 and errors and errors[0] else "")
