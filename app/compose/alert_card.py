"""The texts of one alert, as the text part and the HTML part of a mail show them, without markup. Pure."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, tzinfo

from app.compose import phrases
from app.compose.error_text import error_line, hint_for
from app.compose.first_way import is_about_a_way
from app.compose.phrases import link_to
from app.compose.unclear_text import UnclearPart, unclear_part
from app.domain.alert import AlertKind, without_rule
from app.domain.mail_views import AlertView
from app.domain.notice import NoticeKind

STATES = {
    AlertKind.FAILED: "FAILED",
    AlertKind.MISSED: "MISSED",
    AlertKind.AGENT_SILENT: "SILENT",
    AlertKind.OVERRUN: "OVERRUN",
    AlertKind.UNCLEAR: "UNCLEAR",
    AlertKind.WARNING: "WARNING",
    AlertKind.CLOCK_OFF: "CLOCK",
}
OK_AGAIN = "OK AGAIN"
ACKNOWLEDGED = "ACKNOWLEDGED"  # somebody has taken it on; nothing else has changed
CLOSED = "CLOSED"  # the alert is over but the job is not ok: the missed run came and failed
_TONES = {
    AlertKind.FAILED: "failed",
    AlertKind.MISSED: "missed",
    AlertKind.AGENT_SILENT: "missed",
    AlertKind.OVERRUN: "warning",
    AlertKind.UNCLEAR: "unclear",
    AlertKind.WARNING: "warning",
    AlertKind.CLOCK_OFF: "warning",
}
# (while the alert is open, after it is closed)
_BEGAN = {
    AlertKind.FAILED: ("Failing since", "Failed since"),
    AlertKind.MISSED: ("Missed since", "Missed since"),
    AlertKind.AGENT_SILENT: ("Silent since", "Was silent since"),
    AlertKind.OVERRUN: ("Running since", "Ran since"),
    AlertKind.UNCLEAR: ("Unclear since", "Was unclear since"),
    AlertKind.WARNING: ("Warnings since", "Warnings since"),
    AlertKind.CLOCK_OFF: ("Seen at", "Was wrong since"),
}
_IN_ROW = {
    AlertKind.FAILED: "Failed runs",
    AlertKind.WARNING: "With warnings",
    AlertKind.MISSED: "Missed",
    AlertKind.UNCLEAR: "Such texts",
}
_SHORT, _LONG = 60, 400
AnswerUrl = Callable[[str], str]  # the address by which a recipient answers an alert, by its id
UNCLEAR_QUESTION = (
    "The text of this report does not say whether the run succeeded. It changed nothing: the job's state and its other alerts stay as"
    " they were."
)


@dataclass(frozen=True, slots=True)
class AlertCard:
    """What a mail shows of one alert. `facts` are (label, value), `links` are (noun, address), `answers` are (words, address)."""

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
    unclear: UnclearPart | None
    links: tuple[tuple[str, str], ...]
    answers: tuple[tuple[str, str], ...]
    reason: str


def state_of(view: AlertView) -> str:
    """Return the state: `FAILED`, `STILL FAILED`, `OK AGAIN`, `CLOSED`, `ACKNOWLEDGED`; never `OK AGAIN` for a job that still fails."""
    if view.what is NoticeKind.ACKNOWLEDGED:
        return ACKNOWLEDGED
    if view.what is NoticeKind.RECOVERED:
        return CLOSED if view.failures_in_row or view.missed_in_row else OK_AGAIN
    still = "STILL " if view.what is NoticeKind.REPEATED else ""
    return still + STATES[view.alert.kind]


def title_of(view: AlertView) -> str:
    """Return the job's name, or the agent's. An activity other than backup is appended, as a job and its check often share a name."""
    if view.job is None or view.alert.kind is AlertKind.AGENT_SILENT:
        return f"agent {phrases.one_line(view.agent, _SHORT)}"
    job = phrases.one_line(view.job, _SHORT)
    return (
        job
        if view.activity in ("", "backup", job.casefold()) or is_about_a_way(view)
        else f"{job} {phrases.one_line(view.activity, 20)}"
    )


def name_of(view: AlertView) -> str:
    """Return `nightly-sql on sql01 (Acme)`."""
    customer = phrases.one_line(view.customer, _SHORT)
    title = title_of(view)
    is_agent = view.job is None or view.alert.kind is AlertKind.AGENT_SILENT
    return f"{title} ({customer})" if is_agent else f"{title} on {phrases.one_line(view.agent, _SHORT)} ({customer})"


def trouble_of(view: AlertView) -> str:
    """Return what is wrong in one sentence: the backup's own error, or a sentence of ours. Times are in the customer's time zone."""
    alert, reference = view.alert, newest_moment(view)
    match alert.kind:
        case AlertKind.MISSED:
            slot = phrases.moment(view.expected_at or alert.since, phrases.zone(view.time_zone), reference)
            habit = (
                f" This schedule was learned from its runs and is not confirmed: {view.habit}." if view.habit else ""
            )
            return f"Expected {slot}, but no run was reported.{habit}"
        case AlertKind.OVERRUN:
            # A run that hangs while others of its job end well: the rest of the mail shows a job that looks well.
            others = view.last_success_at is not None and view.last_success_at > alert.since
            also = " Another run of this job has succeeded since; this one has not ended." if others else ""
            return f"Still running after {phrases.duration(reference - alert.since)}, longer than it should.{also}"
        case AlertKind.AGENT_SILENT:
            return f"No report for {phrases.duration(reference - alert.since)}."
        case AlertKind.CLOCK_OFF:
            return f"{phrases.one_line(alert.message or alert.reason, _LONG)}."
        case AlertKind.UNCLEAR:
            text = phrases.one_line(alert.message or "", _LONG)
            return f"“{text}”" if text else "a text without a subject"
        case AlertKind.FAILED | AlertKind.WARNING:
            # Without an error text, the reason why the alert was opened: the mail must say what is wrong. Which rule opened it, it says below.
            reason = without_rule(alert.reason)
            return phrases.shorten(error_line(view) or phrases.one_line(reason or alert.reason, _LONG), _LONG)


def runs_of(view: AlertView) -> int:
    """Return the number of runs (or missed runs) that the alert is about: those it was opened for, and those after that."""
    in_row = {
        AlertKind.FAILED: view.failures_in_row,
        AlertKind.WARNING: view.warnings_in_row,
        AlertKind.MISSED: view.missed_in_row,
    }.get(view.alert.kind, 0)
    return max(view.alert.repeats + 1, in_row)


def newest_moment(view: AlertView) -> datetime:
    """Return the newest moment of the alert. Relative times in the mail count from it, so the text does not depend on the clock."""
    alert = view.alert
    return max(
        moment for moment in (alert.opened_at, alert.last_at, alert.closed_at, view.notice_due_at) if moment is not None
    )


def card_of(view: AlertView, base_url: str, log_lines: int, answer: AnswerUrl | None = None) -> AlertCard:
    """Return the card of one alert, with at most `log_lines` lines of its log, and the links by which its reader can answer."""
    is_down = view.what not in (NoticeKind.RECOVERED, NoticeKind.ACKNOWLEDGED)
    asks = is_down and answer is not None and view.alert.acknowledged_at is None and view.alert.closed_at is None
    unclear = unclear_part(view, base_url, 2 * log_lines)
    log = (
        phrases.tail(view.log_tail or "", log_lines, 100 * log_lines)
        if is_down and log_lines and unclear is None
        else ()
    )
    log_for_hint = phrases.tail(view.log_tail or "", 20, 2048) if is_down else ()
    is_agent = view.job is None or view.alert.kind is AlertKind.AGENT_SILENT
    customer = phrases.one_line(view.customer, _SHORT)
    answers: tuple[tuple[str, str], ...] = ()
    if answer is not None and asks:
        address = answer(view.alert.id)
        # Each opens a page whose button acts: programs that scan mails open links too.
        answers = (
            ("Acknowledge", address),
            ("Silence for 4 h", f"{address}?silence=4h"),
            ("Silence until tomorrow", f"{address}?silence=morning"),
        )
    return AlertCard(
        state=state_of(view),
        tone=_TONES[view.alert.kind] if is_down else "ok" if state_of(view) == OK_AGAIN else "none",
        is_down=is_down,
        title=title_of(view),
        place=customer if is_agent else f"{phrases.one_line(view.agent, _SHORT)} · {customer}",
        name=name_of(view),
        error=UNCLEAR_QUESTION
        if unclear
        else trouble_of(view)
        if is_down or view.alert.kind in (AlertKind.FAILED, AlertKind.WARNING)
        else "",
        facts=tuple(_facts(view, phrases.zone(view.time_zone))),
        hint=(view.zone_hint or hint_for(view.alert.kind, view.alert.message, log_for_hint)) if is_down else "",
        log=log,
        unclear=unclear,
        links=_links(view, base_url),
        answers=answers,
        reason=phrases.one_line(view.reason, 200),
    )


def _links(view: AlertView, base_url: str) -> tuple[tuple[str, str], ...]:
    # Under "OK AGAIN" a link "Run" to the run that failed would lead to the opposite of what the mail says.
    is_well = state_of(view) == OK_AGAIN and view.good_run_id is not None
    good, earlier = (view.good_run_id, view.run_id) if is_well else (view.run_id, None)
    ids = [("alert", view.alert.id), ("run", good), ("job", view.alert.job_id)]
    links = [(noun, link_to(base_url, noun, id_)) for noun, id_ in ids if id_]
    if earlier and earlier != good:
        noun = "failed run" if view.alert.kind is AlertKind.FAILED else "earlier run"
        links.append((noun, link_to(base_url, "run", earlier)))
    return tuple(links)


def _facts(view: AlertView, where: tzinfo) -> list[tuple[str, str]]:
    alert, reference, is_over = view.alert, newest_moment(view), view.what is NoticeKind.RECOVERED

    def shown(moment: datetime | None) -> str:
        return "" if moment is None else phrases.moment(moment, where, reference)

    lasted = ((alert.closed_at or reference) - alert.since).total_seconds()
    began = shown(alert.since) + (f" ({phrases.duration(lasted)})" if lasted >= 60 else "")  # noqa: PLR2004
    in_row = f"{runs_of(view):,} in a row" if runs_of(view) > 1 else ""
    is_missed = alert.kind is AlertKind.MISSED
    facts = [
        ("OK since" if state_of(view) == OK_AGAIN else "Closed", shown(alert.closed_at) if is_over else ""),
        ("Because", phrases.one_line(alert.closed_reason or "", 200) if is_over else ""),
        ("But now", _still_wrong(view) if is_over else ""),
        (_BEGAN[alert.kind][is_over], began if is_over or in_row or not is_missed else ""),
        (_IN_ROW.get(alert.kind, ""), in_row if alert.kind in _IN_ROW else ""),
        (
            "Last success",
            (shown(view.last_success_at) or "none known") if alert.job_id and not is_over else "",
        ),
        # They belong to the run that failed: under "OK AGAIN" they would look like those of the good run.
        *(() if is_over else _measured(view)),
        ("Next due", shown(view.next_due_at) if view.next_due_at and view.next_due_at > reference else ""),
        ("Agent", "new, and waits for approval" if view.agent_waits else ""),
        (
            "Acknowledged",
            phrases.one_line(f"by {alert.acknowledged_by or 'somebody'}", _SHORT) if alert.acknowledged_at else "",
        ),
    ]
    return [(label, value) for label, value in facts if value]


def _still_wrong(view: AlertView) -> str:
    """Return what is still wrong with a job whose alert is over."""
    if view.failures_in_row:
        return f"failing, {phrases.count(view.failures_in_row, 'run')} in a row"
    if view.missed_in_row:
        return f"missed, {view.missed_in_row:,} in a row"
    return "with warnings" if view.warnings_in_row else ""


def _measured(view: AlertView) -> list[tuple[str, str]]:
    """Return the metrics of the run; for a missed run and a silent agent there are none."""
    if view.alert.kind in (AlertKind.MISSED, AlertKind.AGENT_SILENT):
        return []
    metrics = {name: value for name, value in view.metrics.items() if math.isfinite(value)}
    found = []
    if metrics.get("duration_s", 0) > 0:
        found.append(("Duration", phrases.duration(metrics["duration_s"])))
    if metrics.get("bytes_processed", 0) > 0:
        found.append(("Read", phrases.size(metrics["bytes_processed"])))
    if metrics.get("bytes_stored", 0) > 0:
        found.append(("Stored", phrases.size(metrics["bytes_stored"])))
    if metrics.get("files_failed", 0) > 0:
        found.append(("Files failed", f"{metrics['files_failed']:,.0f}"))
    return found
