"""/jobs and /job/...: the list of jobs, and one job: what is wrong with it, since when, and when it should run."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from gettext import NullTranslations
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from fastapi.responses import HTMLResponse
from pydantic import BaseModel

from app.admin import jobs as admin_jobs
from app.compose.error_text import hint_for
from app.core.errors import BadInput, NotFound, TocsinError
from app.core.time_zones import read_time_zone
from app.decide.mute import muting_silence
from app.decide.route import matching_routes
from app.domain.alert import Alert, AlertKind
from app.domain.event import Severity
from app.domain.expectation import Expectation, describe_expectation, overdue_time, slot_after
from app.domain.job import Job
from app.domain.person import Role
from app.domain.problem import NamedAlert
from app.domain.run import Run
from app.domain.schedule import read_schedule
from app.domain.zone_hint import zone_hint
from app.http.api.dependencies import Context
from app.http.pages.acts import back_to
from app.http.pages.frame import environment, render, viewer_of
from app.http.pages.languages import translations
from app.http.pages.moments import Moments
from app.http.pages.overview import facts_of
from app.http.pages.session import PostedForm, SignedIn, SignedInPerson, need_role
from app.store.agents import agents_by_id
from app.store.alerts import read_alerts_of_job
from app.store.customers import customers_by_id
from app.store.events import EVENTS
from app.store.fleet import JobSearch, count_runs, days_of_job, latest_runs, search_jobs, word_of_job
from app.store.jobs import JOBS
from app.store.repository import Window
from app.store.routing import all_routes, current_silences, recipients_by_id
from app.store.runs import newest_runs
from app.store.transactions import ReadTx

router = APIRouter(include_in_schema=False)

_JOBS_SHOWN, _RUNS_SHOWN, _RUNS_CHARTED, _DAYS, _SLOTS = 50, 12, 60, 30, 5
_LOG_LINES = 12
Administrator = Annotated[SignedIn, Depends(need_role(Role.ADMINISTRATOR))]
JobId = Annotated[str, Path(max_length=40, pattern=r"^job_[0-9a-z]+$")]


class JobsAsked(BaseModel):
    """What the address of the list asks for."""

    q: Annotated[str, Query(max_length=100)] = ""
    state: Annotated[str, Query(max_length=20)] = ""
    customer: Annotated[str, Query(max_length=200)] = ""
    agent: Annotated[str, Query(max_length=200)] = ""
    label: Annotated[str, Query(max_length=200)] = ""
    tool: Annotated[str, Query(max_length=200)] = ""
    after: Annotated[str, Query(max_length=40)] = ""


@dataclass(frozen=True, slots=True)
class WouldNotify:
    """One recipient of whom a route says that a failure of the job would be sent to them now."""

    recipient: str
    ways: str
    route: str
    held_until: datetime | None


@dataclass(frozen=True, slots=True)
class Slots:
    """When a job should run: in words, the next times, and until when each is waited for."""

    words: str
    next: Sequence[tuple[datetime, datetime]]


@router.get("/jobs")
async def show_jobs(
    request: Request, context: Context, who: SignedInPerson, asked: Annotated[JobsAsked, Query()]
) -> HTMLResponse:
    """Show the jobs that the address asks for."""
    search = JobSearch(asked.q, asked.state, asked.customer, asked.agent, asked.label, asked.tool)
    async with context.database.read() as tx:
        page = await search_jobs(
            tx, search, who.customers, Window(_JOBS_SHOWN, after=asked.after or None), context.clock()
        )
    return render(request, context, who, "jobs.html", place="jobs", asked=asked, page=page)


@router.get("/job/{job_id}")
async def show_job(request: Request, context: Context, who: SignedInPerson, job_id: JobId) -> HTMLResponse:
    """Show one job."""
    now = context.clock()
    async with context.database.read() as tx:
        job = await JOBS.get(tx, job_id)
        if not who.sees(job.customer_id):
            raise NotFound(f"there is no job {job_id}")
        agent = (await agents_by_id(tx, [job.agent_id]))[job.agent_id]
        customer = (await customers_by_id(tx, [job.customer_id]))[job.customer_id]
        alerts = await read_alerts_of_job(tx, job.customer_id, job_id)
        word = await word_of_job(tx, job_id, now)
        today = now.astimezone(viewer_of(request, context, who).zone).date()
        days = await days_of_job(tx, job.customer_id, job_id, today, _DAYS)
        runs = await latest_runs(tx, job_id, _RUNS_SHOWN)
        charted = (await newest_runs(tx, [job_id], _RUNS_CHARTED))[job_id]
        newest = next((run for run in runs if run.event_id is not None), None)
        event = await EVENTS.find(tx, newest.event_id or "") if newest is not None else None
        named = NamedAlert(_imagined(job, now), customer.name, agent.name, job.name, job.activity.value, job.labels)
        notified = await _would_notify(tx, named, now)
        total = await count_runs(tx, job.customer_id, job_id)
    log = (event.log or "") if event is not None else ""
    lines = log.splitlines()
    expectation = job.active_expectation
    texts = translations(viewer_of(request, context, who).language)
    return render(
        request,
        context,
        who,
        "job.html",
        place="jobs",
        job=job,
        word=word,
        agent=agent,
        customer=customer,
        alerts=alerts,
        days=days,
        runs=runs,
        total=total,
        charted=list(reversed(charted)),
        usual=_usual(charted),
        log_of=newest,
        log_event=event,
        log_tail="\n".join(lines[-_LOG_LINES:]),
        log_head="\n".join(lines[:_LOG_LINES]) if len(lines) > _LOG_LINES else "",
        log_lines=len(lines),
        expected=_slots(expectation, now, texts) if expectation is not None else None,
        expectation=expectation,
        proposed=_slots(job.proposed_expectation, now, texts) if job.proposed_expectation is not None else None,
        notified=notified,
        hint=zone_hint(job.expectation, charted, texts.gettext),
        advice=texts.gettext(hint_for(AlertKind.FAILED, job.last_message, tuple(lines[-40:])))
        if job.failures_in_row
        else "",
    )


@router.get("/schedule/explained")
async def explain_schedule(
    request: Request,
    context: Context,
    who: SignedInPerson,
    cron: Annotated[str, Query(max_length=500)] = "",
    zone: Annotated[str, Query(max_length=64)] = "UTC",
) -> HTMLResponse:
    """Return what a schedule means, as one types it: in words, with its next five times."""
    viewer = viewer_of(request, context, who)
    trouble, slots = "", None
    try:
        slots = _slots(_expectation(cron, zone, 60, None), context.clock(), translations(viewer.language))
    except (TocsinError, ValueError) as cause:
        trouble = cause.detail if isinstance(cause, TocsinError) else str(cause)
    template = environment(viewer.language).get_template("schedule.html")
    moments = Moments(viewer.language, viewer.zone, context.clock())
    return HTMLResponse(template.render(slots=slots, trouble=trouble, moments=moments))


@router.post("/act/expect")
async def post_expect(request: Request, context: Context, who: Administrator, form: PostedForm) -> Response:
    """Set when a job should run, confirm what was learned, or expect nothing."""
    by, job_id = who.editor(context), str(form.get("id", ""))
    async with context.database.read() as tx:
        job = await JOBS.get(tx, job_id)
    if not who.sees(job.customer_id):
        raise NotFound(f"there is no job {job_id}")
    try:
        async with context.database.write() as tx:
            match form.get("what"):
                case "confirm":
                    await admin_jobs.confirm_job_expectation(tx, job_id, by)
                case "dismiss":
                    await admin_jobs.dismiss_job_expectation(tx, job_id, by)
                case _:
                    longest = str(form.get("longest_min") or "")
                    wanted = _expectation(
                        str(form.get("cron") or ""),
                        str(form.get("zone") or "UTC"),
                        _minutes(str(form.get("grace_min") or "60")),
                        _minutes(longest) if longest else None,
                    )
                    await admin_jobs.update_job(tx, job_id, lambda it: replace(it, expectation=wanted), by)
    except (TocsinError, ValueError):
        return back_to(request, form, "", 0, by, trouble="bad_input")
    return back_to(request, form, "saved", 1, by)


def _expectation(cron: str, zone: str, grace_min: int, longest_min: int | None) -> Expectation:
    """Return an expectation as a person wrote it. Raises BadInput and ValueError, which say what is wrong."""
    schedule = read_schedule(cron[:500])
    return Expectation(
        grace=timedelta(minutes=grace_min),
        cron=schedule.cron,
        time_zone=schedule.time_zone or read_time_zone(zone[:64]),
        longest=None if longest_min is None else timedelta(minutes=max(1, longest_min)),
    )


def _minutes(text: str) -> int:
    longest = 366 * 24 * 60
    if not (text.isascii() and text.isdecimal() and len(text) < 8 and int(text) <= longest):  # noqa: PLR2004
        raise BadInput("must be a number of minutes, at most a year")
    return int(text)


def _slots(expectation: Expectation, now: datetime, texts: NullTranslations) -> Slots:
    times, moment = [], now
    for _ in range(_SLOTS):
        moment = slot_after(expectation, moment)
        times.append((moment, overdue_time(expectation, moment)))
    return Slots(describe_expectation(expectation, texts.gettext), times)


def _usual(charted: Sequence[Run]) -> dict[str, float]:
    """Return the medians of the good runs."""
    good = [run for run in charted if run.outcome == "success"]
    sums: dict[str, list[float]] = {"duration_s": [run.duration_s for run in good if run.duration_s]}
    for name in ("bytes_processed", "bytes_stored", "files_processed"):
        sums[name] = [float(run.metrics[name]) for run in good if run.metrics.get(name)]
    return {name: statistics.median(values) for name, values in sums.items() if values}


def _imagined(job: Job, now: datetime) -> Alert:
    """Return the alert that a failure would open now, to ask the routes about it."""
    return Alert(
        "", job.customer_id, job.agent_id, job.id, AlertKind.FAILED, Severity.ERROR, "", now, now, now, job_id=job.id
    )


async def _would_notify(tx: ReadTx, alert: NamedAlert, now: datetime) -> list[WouldNotify]:
    facts = facts_of(alert)
    routes = matching_routes(alert.alert.customer_id, facts, await all_routes(tx))
    silence = muting_silence(alert.alert.customer_id, facts, await current_silences(tx, now))
    names = await recipients_by_id(tx, [own for route in routes for own in route.recipients])
    return [
        WouldNotify(
            names[own].name,
            ", ".join(dict.fromkeys(to.transport for to in names[own].transports)),
            route.name,
            None if silence is None else silence.ends_at,
        )
        for route in routes
        for own in route.recipients
        if own in names
    ]
