"""Renders messages for programs, as JSON documents. Pure; the transport signs and sends them.

The shape {"type", "timestamp", "data"} is the one that Standard Webhooks 1.0.0 recommends. Fields may be added, but never renamed
or removed.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import datetime

from app.compose import phrases
from app.compose.alert_card import newest_moment, trouble_of
from app.compose.alert_mail import in_order
from app.compose.alert_subject import subject_of
from app.compose.phrases import api_link_to, link_to
from app.compose.summary_subject import is_all_ok
from app.compose.summary_subject import subject_of as summary_subject_of
from app.compose.unclear_text import teach_url, unclear_part
from app.domain.mail_views import AlertView, JobLine, SummaryView
from app.domain.notice import NoticeKind

MOST, LIMIT = 300, 200_000  # alerts or jobs in a document, and its bytes
_LONGEST_TEXT, _TEXT_LINES = 500, 20
_WHATS = (NoticeKind.OPENED, NoticeKind.REPEATED, NoticeKind.ACKNOWLEDGED, NoticeKind.RECOVERED)


def render_alerts(views: Sequence[AlertView], *, base_url: str, is_whole: bool = False) -> bytes:
    """Return one document for 1..n alerts. Its type is `alert.opened` if any alert opened, else `alert.repeated`, else `alert.recovered`.

    Each alert has its own `what`. With `is_whole` no alert is left out, however long the document is.
    """
    ordered = in_order(views)
    what = min((view.what for view in ordered), key=_WHATS.index)
    subject = subject_of(ordered)
    at = max(newest_moment(view) for view in ordered)

    def document(most: int) -> bytes:
        shown = [_alert(view, base_url) for view in ordered[:most]]
        data = {"subject": subject, "alerts": shown, "more": len(ordered) - len(shown)}
        return _document(f"alert.{what.value}", at, data)

    return document(len(ordered)) if is_whole else _fit(document)


def render_summary(view: SummaryView, *, base_url: str) -> bytes:
    """Return the document of a summary; `more` of a section counts the jobs that are left out."""

    def document(most: int) -> bytes:
        left, sections = most, []
        for section in view.sections:
            lines = section.lines[:left]
            left -= len(lines)
            more = section.more + len(section.lines) - len(lines)
            sections.append({"title": section.title, "jobs": [_job(line, base_url) for line in lines], "more": more})
        data: dict[str, object] = {
            "subject": summary_subject_of(view),
            "schedule": view.schedule,
            "number": view.number,
            "period_start": _time(view.period_start),
            "period_end": _time(view.period_end),
            "time_zone": view.time_zone,
            "all_ok": is_all_ok(view),
            **{
                name: getattr(view, name)
                for name in ("expected", "heard", "jobs", "failed", "missed", "unclear", "warnings", "ok", "new")
            },
            "runs": None if view.runs is None else asdict(view.runs),
            "silent_agents": list(view.silent_agents[:most]),
            "waiting_agents": view.waiting_agents,
            **{
                name: getattr(view, name)
                for name in (
                    "without_expectation",
                    "unconfirmed",
                    "unclear_runs",
                    "unclear_texts",
                    "undelivered",
                    "bounced",
                    "set_aside",
                )
            },
            "unknown_numbers": view.unknown_numbers,
            "totals": {name: getattr(view.totals, name) for name in view.totals.__slots__},
            "mail_times": None if view.mail_times is None else asdict(view.mail_times),
            "sections": sections,
        }
        return _document("summary", view.period_end, data)

    return _fit(document)


def _fit(document: Callable[[int], bytes]) -> bytes:
    """Reduce the number of entries until the document fits into LIMIT bytes: a receiver may refuse a longer one as a whole."""
    most = MOST
    while len(body := document(most)) > LIMIT and most > 0:
        most //= 2
    return body


def _document(type_: str, at: datetime, data: dict[str, object]) -> bytes:
    """Return the JSON. Lone surrogates are replaced: UTF-8 cannot encode them, and the whole message would be lost."""
    document = json.dumps(
        {"type": type_, "timestamp": _time(at), "data": data},
        ensure_ascii=False,
        separators=(",", ":"),
        allow_nan=False,
    )
    return document.encode("utf-8", "replace")


def _time(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat().replace("+00:00", "Z")


def _alert(view: AlertView, base_url: str) -> dict[str, object]:
    alert = view.alert
    return {
        "what": view.what.value,
        "id": alert.id,
        "url": api_link_to(base_url, "alert", alert.id),
        "page_url": link_to(base_url, "alert", alert.id),
        "kind": alert.kind.value,
        "severity": alert.severity.value,
        "customer": view.customer,
        "customer_id": alert.customer_id,
        "agent": view.agent,
        "agent_id": alert.agent_id,
        "job": view.job,
        "job_id": alert.job_id,
        "activity": view.activity,
        "run_id": view.run_id,
        "message": _shortened(alert.message),
        "trouble": trouble_of(view),
        "unclear": _unclear(view, base_url),
        "since": _time(alert.since),
        "opened_at": _time(alert.opened_at),
        "last_at": _time(alert.last_at),
        "closed_at": _time(alert.closed_at),
        "closed_reason": _shortened(alert.closed_reason),
        "repeats": alert.repeats,
        "acknowledged_at": _time(alert.acknowledged_at),
        "last_success_at": _time(view.last_success_at),
        "failures_in_row": view.failures_in_row,
        "missed_in_row": view.missed_in_row,
        "warnings_in_row": view.warnings_in_row,
        "expected_at": _time(view.expected_at),
        "next_due_at": _time(view.next_due_at),
        "reason": _shortened(view.reason),
    }


def _unclear(view: AlertView, base_url: str) -> dict[str, object] | None:
    """Return the unclear text and the address that takes the answer; null for an alert of another kind."""
    part = unclear_part(view, base_url, _TEXT_LINES)
    if part is None:
        return None
    return {
        "event_id": view.alert.event_id,
        "text": list(part.lines),
        "evidence": part.evidence,
        "reading": None if view.reading is None else {name: _shortened(text) for name, text in view.reading.items()},
        "teach_url": teach_url(base_url, view.alert.event_id) if view.alert.event_id else None,
        "answers": [{"outcome": outcome, "command": line} for _, outcome, line in part.answers],
    }


def _job(line: JobLine, base_url: str) -> dict[str, object]:
    newest = line.strip[-1] if line.strip else None
    return {
        "id": line.job_id,
        "url": api_link_to(base_url, "job", line.job_id),
        "page_url": link_to(base_url, "job", line.job_id),
        "customer": line.customer,
        "agent": line.agent,
        "job": line.job,
        "activity": line.activity,
        "state": line.state.value,
        "failing_since": _time(line.failing_since),
        "last_success_at": _time(line.last_success_at),
        "message": _shortened(line.last_message),
        "silenced_until": _time(line.silenced_until),
        "days": [cell.word for cell in line.strip],
        "newest_day": None
        if newest is None
        else {
            "day": newest.day.isoformat(),
            "bytes_processed": newest.bytes_processed,
            "bytes_stored": newest.bytes_stored,
            "duration_s": newest.duration_s,
        },
    }


def _shortened(text: str | None) -> str | None:
    return None if text is None else phrases.shorten(text, _LONGEST_TEXT)
