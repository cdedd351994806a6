"""Words messages for programs: JSON documents whose field names are ours and stay. Pure; signing and sending is the transport's.

{"type", "timestamp", "data"} as Standard Webhooks 1.0.0 advises. Fields are added, never renamed or removed.
"""

import json
from collections.abc import Callable, Sequence
from datetime import datetime

from app.compose import phrases
from app.compose.alert_card import newest_moment, trouble_of
from app.compose.alert_mail import in_order
from app.compose.alert_subject import subject_of
from app.compose.links import link_to
from app.compose.summary_subject import is_all_ok
from app.compose.summary_subject import subject_of as summary_subject_of
from app.domain.mail_views import AlertView, DayCell, JobLine, SummaryView
from app.domain.notice import NoticeKind

MOST, LIMIT = 300, 200_000  # alerts or jobs in a document, and its bytes
_LONGEST = 500
_WHATS = (NoticeKind.OPENED, NoticeKind.REPEATED, NoticeKind.RECOVERED)


def word_alerts(stories: Sequence[AlertView], *, base_url: str) -> bytes:
    """Word one document for 1..n alerts: `alert.opened`, else `alert.repeated`, else `alert.recovered`; each alert says its own `what`."""
    ordered = in_order(stories)
    what = min((story.what for story in ordered), key=_WHATS.index)

    subject = subject_of(ordered)
    at = max(newest_moment(story) for story in ordered)

    def document(most: int) -> bytes:
        told = [_alert(story, base_url) for story in ordered[:most]]
        data = {"subject": subject, "alerts": told, "more": len(ordered) - len(told)}
        return _document(f"alert.{what.value}", at, data)

    return _fit(document)


def word_summary(story: SummaryView, *, base_url: str) -> bytes:
    """Word a summary; `more` of a section counts the jobs that are left out."""
    return _fit(lambda most: _document("summary", story.period_end, _summary(story, base_url, most)))


def _fit(document: Callable[[int], bytes]) -> bytes:
    """Tell of fewer until it is no longer than LIMIT: a receiver may refuse what is longer, and would be told nothing."""
    most = MOST
    while len(body := document(most)) > LIMIT and most > 0:
        most //= 2
    return body


def _summary(story: SummaryView, base_url: str, most: int) -> dict[str, object]:
    left, sections = most, []
    for section in story.sections:
        lines = section.lines[:left]
        left -= len(lines)
        more = section.more + len(section.lines) - len(lines)
        sections.append({"title": section.title, "jobs": [_job(line, base_url) for line in lines], "more": more})
    return {
        "subject": summary_subject_of(story),
        "schedule": story.schedule,
        "number": story.number,
        "period_start": _time(story.period_start),
        "period_end": _time(story.period_end),
        "time_zone": story.time_zone,
        "all_ok": is_all_ok(story),
        **{
            name: getattr(story, name)
            for name in ("expected", "heard", "jobs", "failed", "missed", "warnings", "ok", "new")
        },
        "silent_agents": list(story.silent_agents[:most]),
        **{name: getattr(story, name) for name in ("without_expectation", "unconfirmed", "undelivered", "set_aside")},
        "totals": {name: getattr(story.totals, name) for name in story.totals.__slots__},
        "sections": sections,
    }


def _document(type_: str, at: datetime, data: dict[str, object]) -> bytes:
    """Lone surrogates, which UTF-8 refuses, would cost the whole message: they are replaced."""
    told = json.dumps(
        {"type": type_, "timestamp": _time(at), "data": data},
        ensure_ascii=False,
        separators=(",", ":"),
        allow_nan=False,
    )
    return told.encode("utf-8", "replace")


def _time(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat().replace("+00:00", "Z")


def _alert(story: AlertView, base_url: str) -> dict[str, object]:
    alert = story.alert
    return {
        "what": story.what.value,
        "id": alert.id,
        "url": link_to(base_url, "alert", alert.id),
        "kind": alert.kind.value,
        "severity": alert.severity.value,
        "customer": story.customer,
        "customer_id": alert.customer_id,
        "agent": story.agent,
        "agent_id": alert.agent_id,
        "job": story.job,
        "job_id": alert.job_id,
        "activity": story.activity,
        "run_id": story.run_id,
        "message": _bounded(alert.message),
        "trouble": trouble_of(story),
        "since": _time(alert.since),
        "opened_at": _time(alert.opened_at),
        "last_at": _time(alert.last_at),
        "closed_at": _time(alert.closed_at),
        "closed_reason": _bounded(alert.closed_reason),
        "repeats": alert.repeats,
        "acknowledged_at": _time(alert.acknowledged_at),
        "last_success_at": _time(story.last_success_at),
        "failures_in_row": story.failures_in_row,
        "missed_in_row": story.missed_in_row,
        "warnings_in_row": story.warnings_in_row,
        "expected_at": _time(story.expected_at),
        "next_due_at": _time(story.next_due_at),
        "reason": _bounded(story.reason),
    }


def _job(line: JobLine, base_url: str) -> dict[str, object]:
    return {
        "id": line.job_id,
        "url": link_to(base_url, "job", line.job_id),
        "customer": line.customer,
        "agent": line.agent,
        "job": line.job,
        "activity": line.activity,
        "state": line.state.value,
        "failing_since": _time(line.failing_since),
        "last_success_at": _time(line.last_success_at),
        "message": _bounded(line.last_message),
        "silenced_until": _time(line.silenced_until),
        "days": [cell.word for cell in line.strip],
        "newest_day": _day(line.strip[-1]) if line.strip else None,
    }


def _day(cell: DayCell) -> dict[str, object]:
    return {
        "day": cell.day.isoformat(),
        "bytes_processed": cell.bytes_processed,
        "bytes_stored": cell.bytes_stored,
        "duration_s": cell.duration_s,
    }


def _bounded(text: str | None) -> str | None:
    return None if text is None else phrases.shorten(text, _LONGEST)
