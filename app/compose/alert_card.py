"""One alert in words, as both parts of an alert mail show it. Pure: from a story to what is printed, no markup."""

import math
from dataclasses import dataclass
from datetime import datetime, tzinfo

from app.compose import hints, phrases
from app.compose.error_line import error_line
from app.compose.links import link_to
from app.domain.alert import AlertKind
from app.domain.mail_views import AlertView
from app.domain.notice import NoticeKind

STATES = {
    AlertKind.FAILED: "FAILED",
    AlertKind.MISSED: "MISSED",
    AlertKind.AGENT_SILENT: "SILENT",
    AlertKind.OVERRUN: "OVERRUN",
    AlertKind.WARNING: "WARNING",
}
OK_AGAIN = "OK AGAIN"
CLOSED = "CLOSED"  # the alert is over, the trouble is not: what was missed came and failed
_TONES = {
    AlertKind.FAILED: "failed",
    AlertKind.MISSED: "missed",
    AlertKind.AGENT_SILENT: "missed",
    AlertKind.OVERRUN: "warning",
    AlertKind.WARNING: "warning",
}
# (while it lasts, when it is over)
_BEGAN = {
    AlertKind.FAILED: ("Failing since", "Failed since"),
    AlertKind.MISSED: ("Missed since", "Missed since"),
    AlertKind.AGENT_SILENT: ("Silent since", "Was silent since"),
    AlertKind.OVERRUN: ("Running since", "Ran since"),
    AlertKind.WARNING: ("Warnings since", "Warnings since"),
}
_IN_ROW = {AlertKind.FAILED: "Failed runs", AlertKind.WARNING: "With warnings", AlertKind.MISSED: "Missed"}
_SHORT, _LONG = 60, 400


@dataclass(frozen=True, slots=True)
class Card:
    """What a reader needs of one alert. `facts` are (label, value), `links` (noun, address)."""

    state: str
    tone: str
    is_down: bool
    title: str
    place: str
    name: str
    error: str
    facts: tuple[tuple[str, str], ...]
    hint: str
    log: tuple[str, ...]
    links: tuple[tuple[str, str], ...]
    reason: str


def state_of(story: AlertView) -> str:
    """Say how it stands: `FAILED`, `STILL FAILED`, `OK AGAIN`; never the last of a job that still fails."""
    if story.what is NoticeKind.RECOVERED:
        return CLOSED if story.failures_in_row or story.missed_in_row else OK_AGAIN
    still = "STILL " if story.what is NoticeKind.REPEATED else ""
    return still + STATES[story.alert.kind]


def title_of(story: AlertView) -> str:
    """Name the job, with its activity where it is no backup, for a job and its check often share a name; or the agent."""
    if story.job is None or story.alert.kind is AlertKind.AGENT_SILENT:
        return f"agent {phrases.one_line(story.agent, _SHORT)}"
    job = phrases.one_line(story.job, _SHORT)
    return job if story.activity in ("", "backup", job.casefold()) else f"{job} {phrases.one_line(story.activity, 20)}"


def name_of(story: AlertView) -> str:
    """Say `nightly-sql on sql01 (Acme)`."""
    customer = phrases.one_line(story.customer, _SHORT)
    title = title_of(story)
    is_agent = story.job is None or story.alert.kind is AlertKind.AGENT_SILENT
    return f"{title} ({customer})" if is_agent else f"{title} on {phrases.one_line(story.agent, _SHORT)} ({customer})"


def trouble_of(story: AlertView) -> str:
    """Say what is wrong in a sentence: the backup's own, or ours where it said nothing, in the reader's time zone."""
    alert, beside = story.alert, newest_moment(story)
    match alert.kind:
        case AlertKind.MISSED:
            slot = phrases.moment(story.expected_at or alert.since, phrases.zone(story.time_zone), beside)
            habit = f" Learned from its runs, not confirmed: {story.habit}." if story.habit else ""
            return f"Expected {slot}, but no run came.{habit}"
        case AlertKind.OVERRUN:
            return f"Still running after {phrases.duration(beside - alert.since)}, longer than it should."
        case AlertKind.AGENT_SILENT:
            return f"Nothing heard for {phrases.duration(beside - alert.since)}."
        case AlertKind.FAILED | AlertKind.WARNING:
            # Without an error, the words with which the alert was opened: something must say what is wrong.
            return phrases.shorten(error_line(story) or phrases.one_line(alert.reason, _LONG), _LONG)


def runs_of(story: AlertView) -> int:
    """Count the runs (or slots) that the alert is about: those that it opened with, and those on top."""
    in_row = {
        AlertKind.FAILED: story.failures_in_row,
        AlertKind.WARNING: story.warnings_in_row,
        AlertKind.MISSED: story.missed_in_row,
    }.get(story.alert.kind, 0)
    return max(story.alert.repeats + 1, in_row)


def newest_moment(story: AlertView) -> datetime:
    """Give the moment that the mail speaks of: the reference of every relative time, so that the clock changes no word."""
    alert = story.alert
    return max(
        moment for moment in (alert.opened_at, alert.last_at, alert.closed_at, story.told_at) if moment is not None
    )


def card_of(story: AlertView, base_url: str, log_lines: int) -> Card:
    """Word one alert, with at most `log_lines` lines of its log."""
    is_down = story.what is not NoticeKind.RECOVERED
    log = phrases.tail(story.log_tail or "", log_lines, 100 * log_lines) if is_down and log_lines else ()
    whole_log = phrases.tail(story.log_tail or "", 20, 2048) if is_down else ()
    is_agent = story.job is None or story.alert.kind is AlertKind.AGENT_SILENT
    customer = phrases.one_line(story.customer, _SHORT)
    return Card(
        state=state_of(story),
        tone=_TONES[story.alert.kind] if is_down else "ok" if state_of(story) == OK_AGAIN else "none",
        is_down=is_down,
        title=title_of(story),
        place=customer if is_agent else f"{phrases.one_line(story.agent, _SHORT)} · {customer}",
        name=name_of(story),
        error=trouble_of(story) if is_down or story.alert.kind in (AlertKind.FAILED, AlertKind.WARNING) else "",
        facts=tuple(_facts(story, phrases.zone(story.time_zone))),
        hint=hints.hint_for(story.alert.kind, story.alert.message, whole_log) if is_down else "",
        log=log,
        links=_links(story, base_url),
        reason=phrases.one_line(story.reason, 200),
    )


def _links(story: AlertView, base_url: str) -> tuple[tuple[str, str], ...]:
    ids = (
        ("alert", story.alert.id),
        ("run", story.run_id),
        ("job", story.alert.job_id),
        ("agent", story.alert.agent_id),
    )
    shown = [(noun, id_) for noun, id_ in ids if id_ and (noun != "agent" or story.alert.job_id is None)]
    return tuple((noun, link_to(base_url, noun, id_)) for noun, id_ in shown)


def _facts(story: AlertView, where: tzinfo) -> list[tuple[str, str]]:
    alert, beside, is_over = story.alert, newest_moment(story), story.what is NoticeKind.RECOVERED

    def said(moment: datetime | None) -> str:
        return "" if moment is None else phrases.moment(moment, where, beside)

    lasted = ((alert.closed_at or beside) - alert.since).total_seconds()
    began = said(alert.since) + (f" ({phrases.duration(lasted)})" if lasted >= 60 else "")  # noqa: PLR2004
    in_row = f"{runs_of(story):,} in a row" if runs_of(story) > 1 else ""
    is_missed = alert.kind is AlertKind.MISSED
    facts = [
        ("OK since" if state_of(story) == OK_AGAIN else "Closed", said(alert.closed_at) if is_over else ""),
        ("Because", phrases.one_line(alert.closed_reason or "", 200) if is_over else ""),
        ("But now", _now(story) if is_over else ""),
        (_BEGAN[alert.kind][is_over], began if is_over or in_row or not is_missed else ""),
        (_IN_ROW.get(alert.kind, ""), in_row if alert.kind in _IN_ROW else ""),
        (
            "Last success",
            (said(story.last_success_at) or "none that we know of") if alert.job_id and not is_over else "",
        ),
        # Of the run that failed: below "OK again" they would be taken for those of the good one.
        *(() if is_over else _measured(story)),
        ("Next due", said(story.next_due_at) if story.next_due_at and story.next_due_at > beside else ""),
        (
            "Acknowledged",
            phrases.one_line(f"by {alert.acknowledged_by or 'somebody'}", _SHORT) if alert.acknowledged_at else "",
        ),
    ]
    return [(label, value) for label, value in facts if value]


def _now(story: AlertView) -> str:
    """Say what is still wrong with a job whose alert is over."""
    if story.failures_in_row:
        return f"failing, {phrases.count(story.failures_in_row, 'run')} in a row"
    if story.missed_in_row:
        return f"missed, {story.missed_in_row:,} in a row"
    return "with warnings" if story.warnings_in_row else ""


def _measured(story: AlertView) -> list[tuple[str, str]]:
    """What the run measured; a missed slot and a silent agent have measured nothing."""
    if story.alert.kind in (AlertKind.MISSED, AlertKind.AGENT_SILENT):
        return []
    told = {name: value for name, value in story.metrics.items() if math.isfinite(value)}
    found = []
    if told.get("duration_s", 0) > 0:
        found.append(("Duration", phrases.duration(told["duration_s"])))
    if told.get("bytes_processed", 0) > 0:
        found.append(("Read", phrases.size(told["bytes_processed"])))
    if told.get("bytes_stored", 0) > 0:
        found.append(("Stored", phrases.size(told["bytes_stored"])))
    if told.get("files_failed", 0) > 0:
        found.append(("Files failed", f"{told['files_failed']:,.0f}"))
    return found
