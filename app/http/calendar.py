"""GET /v1/calendar/{token}.ics: expected and missed runs as a calendar (RFC 5545) that a calendar program subscribes to."""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from fastapi import APIRouter, Request, Response

from app.admin.share_links import open_share_link
from app.domain.run_calendar import CalendarEntry, calendar_of
from app.domain.share_link import SharedPart, ShareKind, ShareLink
from app.http.api.dependencies import Context
from app.http.shared_answer import answer_shared
from app.store.fleet import expected_jobs, missed_runs, names_of_jobs
from app.store.job_states import JobChoice

router = APIRouter(include_in_schema=False)
_LASTS = timedelta(minutes=15)  # an entry of no length is not drawn by some programs
_Names = Mapping[str, tuple[str, str, str]]  # customer, agent and job, by the job's id


@router.get("/v1/calendar/{token}.ics")
async def show_calendar(token: str, request: Request, context: Context) -> Response:
    """Return the calendar."""
    link = await open_share_link(context, token, ShareKind.CALENDAR)
    choice, now = JobChoice(link.customer_ids, link.matchers), context.clock()
    async with context.database.read() as tx:
        entries = calendar_of(await expected_jobs(tx, choice, now), await missed_runs(tx, choice, now), now)
        names = await names_of_jobs(tx, {entry.job_id for entry in entries})
    return answer_shared(request, _write(link, entries, names), "text/calendar; charset=utf-8")


def _write(link: ShareLink, entries: Sequence[CalendarEntry], names: _Names) -> str:
    """Return the calendar's text. Entries of one time that read alike are one, so nothing shows how many there are unless it may."""
    from icalendar import Calendar, Event  # noqa: PLC0415  (it takes 5 MiB, and most services show no calendar)

    calendar = Calendar()
    calendar.add("prodid", "-//Tocsin//Runs of backups//EN")
    calendar.add("version", "2.0")
    calendar.add("x-wr-calname", "Backups")
    calendar.add("refresh-interval;value=duration", "PT1H")
    counted: Counter[tuple[datetime, str]] = Counter(
        (entry.at, _words(link, entry, names)) for entry in entries if entry.job_id in names
    )
    for (at, words), number in counted.items():
        shown = f"{words} ({number})" if number > 1 and SharedPart.COUNTS in link.shows else words
        event = Event()
        event.add("uid", f"{hashlib.sha256(f'{link.id} {at.isoformat()} {words}'.encode()).hexdigest()[:32]}@tocsin")
        event.add("dtstamp", at)
        event.add("dtstart", at)
        event.add("dtend", at + _LASTS)
        event.add("summary", shown)
        event.add("transp", "TRANSPARENT")
        calendar.add_component(event)
    text: bytes = calendar.to_ical()
    return text.decode()


def _words(link: ShareLink, entry: CalendarEntry, names: _Names) -> str:
    customer, agent, job = names[entry.job_id]
    parts = ["Backup missed" if entry.is_missed else "Backup expected"]
    if SharedPart.JOBS in link.shows:
        parts.append(f"{job} on {agent}")
    if SharedPart.CUSTOMERS in link.shows:
        parts.append(customer)
    return ": ".join((parts[0], ", ".join(parts[1:]))) if parts[1:] else parts[0]
