"""/jobs and /job/...: the list of jobs, and one job: what is wrong with it, since when, and when it should run."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from gettext import NullTranslations
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from fastapi.responses import HTMLResponse
from pydantic import BaseModel

from app.admin import jobs as admin_jobs
from app.compose.error_text import hint_for
from app.context import AppContext
from app.core.errors import BadInput, NotFound, TocsinError
from app.decide.mute import muting_silence
from app.decide.route import matching_routes
from app.domain.alert import Alert, AlertKind
from app.domain.event import Severity
from app.domain.job import Job
from app.domain.matcher import Matcher, all_match
from app.domain.person import Role
from app.domain.problem import NamedAlert
from app.domain.run import Run
from app.domain.zone_hint import zone_hint
from app.http.api.dependencies import Context
from app.http.pages.acts import back_to
from app.http.pages.expectation_form import ExpectationForm, form_of, slots_of
from app.http.pages.frame import environment, render, viewer_of
from app.http.pages.languages import translations
from app.http.pages.moments import Moments
from app.http.pages.overview import facts_of
from app.http.pages.session import PostedForm, SignedIn, SignedInPerson, need_role, text_of
from app.store.agents import agents_by_id
from app.store.alerts import read_alerts_of_job
from app.store.customers import customers_by_id
from app.store.events import EVENTS, events_with_log
from app.store.fleet import JobSearch, count_runs, days_of_job, latest_runs, search_jobs, word_of_job
from app.store.jobs import JOBS
from app.store.routing import all_routes, current_silences, recipients_by_id
from app.store.runs import newest_runs
from app.store.transactions import ReadTx

router = APIRouter(include_in_schema=False)

_JOBS_SHOWN, _RUNS_SHOWN, _RUNS_MOST, _RUNS_CHARTED, _DAYS = 50, 12, 200, 60, 30
_LOG_LINES, _LINES_OF_ADVICE, _ROUTES_SHOWN = 12, 40, 6
_CHARTED = ("duration_s", "bytes_processed", "bytes_stored", "files_processed")
_FAR_PERCENT = 30  # from the median: the page points at it
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
    after: Annotated[str, Query(max_length=60)] = ""


@dataclass(frozen=True, slots=True)
class WouldNotify:
    """One recipient of whom a route says that a failure of the job would be sent to them now."""

    recipient: str
    ways: str
    route: str
    held_until: datetime | None


@dataclass(frozen=True, slots=True)
class LastAmount:
    """An amount of the newest run; `change` is its distance from the median in percent, with its sign."""

    value: float
    change: str
    is_far: bool


@dataclass(frozen=True, slots=True)
class PassedRoute:
    """A route that would not report a failure of the job, and why: it is `off`, an earlier one ended the search (`shadowed`), or `unmet`."""

    name: str
    recipients: Sequence[str]
    why: str
    unmet: Matcher | None = None


@router.get("/jobs")
async def show_jobs(
    request: Request, context: Context, who: SignedInPerson, asked: Annotated[JobsAsked, Query()]
) -> HTMLResponse:
    """Show the jobs that the address asks for."""
    search = JobSearch(asked.q, asked.state, asked.customer, asked.agent, asked.label, asked.tool)
    async with context.database.read() as tx:
        page = await search_jobs(tx, search, who.customers, _JOBS_SHOWN, context.clock(), asked.after)
    return render(request, context, who, "jobs.html", place="jobs", asked=asked, page=page)


@router.get("/job/{job_id}")
async def show_job(
    request: Request,
    context: Context,
    who: SignedInPerson,
    job_id: JobId,
    runs: Annotated[int, Query(ge=1, le=_RUNS_MOST)] = _RUNS_SHOWN,
) -> HTMLResponse:
    """Show one job with its newest runs."""
    return await _page(request, context, who, job_id, runs_shown=runs)


async def _page(
    request: Request,
    context: AppContext,
    who: SignedIn,
    job_id: str,
    sent: ExpectationForm | None = None,
    runs_shown: int = _RUNS_SHOWN,
) -> HTMLResponse:
    """Return the page of a job. `sent` is a form that was refused: it is shown again with the reason."""
    now, viewer = context.clock(), viewer_of(request, context, who)
    async with context.database.read() as tx:
        job = await JOBS.get(tx, job_id)
        if not who.sees(job.customer_id):
            raise NotFound(f"there is no job {job_id}")
        agent = (await agents_by_id(tx, [job.agent_id]))[job.agent_id]
        customer = (await customers_by_id(tx, [job.customer_id]))[job.customer_id]
        alerts = await read_alerts_of_job(tx, job.customer_id, job_id)
        word = await word_of_job(tx, job_id, now)
        days = await days_of_job(tx, job.customer_id, job_id, now.astimezone(viewer.zone).date(), _DAYS)
        runs = await latest_runs(tx, job_id, runs_shown)
        charted = (await newest_runs(tx, [job_id], _RUNS_CHARTED))[job_id]
        newest = next((run for run in runs if run.event_id is not None), None)
        event = await EVENTS.find(tx, newest.event_id or "") if newest is not None else None
        logged = await events_with_log(tx, [run.event_id for run in runs if run.event_id is not None])
        named = NamedAlert(_imagined(job, now), customer.name, agent.name, job.name, job.activity.value, job.labels)
        routed = await _routed(tx, named, now, who)
        total = await count_runs(tx, job.customer_id, job_id)
    usual, lines = _usual(charted), ((event.log if event is not None else None) or "").splitlines()
    expectation = job.active_expectation
    texts = translations(viewer.language)
    return render(
        request,
        context,
        who,
        "job.html",
        status=200 if sent is None or sent.refused is None else sent.refused.status,
        place="jobs",
        form=sent or form_of(job, customer),
        job=job,
        word=word,
        agent=agent,
        customer=customer,
        alerts=alerts,
        days=days,
        runs=runs,
        total=total,
        runs_most=_RUNS_MOST,
        charted=list(reversed(charted)),
        usual=usual,
        latest=_latest(charted, usual),
        log_of=newest,
        logged=logged,
        log_event=event,
        **_log_values(lines),
        expected=slots_of(expectation, now, texts),
        expectation=expectation,
        proposed=slots_of(job.proposed_expectation, now, texts),
        **routed,
        hint=zone_hint(job.expectation, charted, texts.gettext),
        advice=_advice(job, alerts, lines, texts),
    )


@router.get("/schedule/explained")
async def explain_schedule(
    request: Request,
    context: Context,
    who: SignedInPerson,
    cron: Annotated[str, Query(max_length=500)] = "",
    zone: Annotated[str, Query(max_length=64)] = "UTC",
    grace_min: Annotated[str, Query(max_length=8)] = "60",
    every: Annotated[str, Query(max_length=12)] = "",
    unit: Annotated[str, Query(max_length=4)] = "h",
) -> HTMLResponse:
    """Return what a schedule means, as one types it: in words, with its next five times."""
    viewer = viewer_of(request, context, who)
    trouble, slots = "", None
    try:
        wanted = ExpectationForm(cron, zone, grace_min, every=every, unit=unit).read()
        slots = slots_of(wanted, context.clock(), translations(viewer.language))
    except TocsinError as cause:
        trouble = cause.detail
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
    names = ("cron", "zone", "grace_min", "longest_min", "every", "unit")
    cron, zone, grace, longest, every, unit = (text_of(form, name)[:500] for name in names)
    sent = ExpectationForm(cron, zone, grace, longest, every, unit)
    try:
        if form.get("what") == "explain":  # without scripts: shown, and nothing is stored
            texts = translations(viewer_of(request, context, who).language)
            explained = slots_of(sent.read(), context.clock(), texts)
            return await _page(request, context, who, job_id, replace(sent, explained=explained))
        async with context.database.write() as tx:
            match form.get("what"):
                case "confirm":
                    await admin_jobs.confirm_job_expectation(tx, job_id, by)
                case "dismiss":
                    await admin_jobs.dismiss_job_expectation(tx, job_id, by)
                case _:
                    wanted = sent.read()
                    await admin_jobs.update_job(tx, job_id, lambda it: replace(it, expectation=wanted), by)
    except BadInput as refused:
        return await _page(request, context, who, job_id, replace(sent, refused=refused))
    except TocsinError as cause:
        return back_to(request, form, "", 0, by, trouble=cause.code)
    return back_to(request, form, "saved", 1, by)


def _log_values(lines: Sequence[str]) -> dict[str, object]:
    """Return what the page shows of the log of the newest run: its end, and its beginning where that is not shown with the end."""
    head = "\n".join(lines[:_LOG_LINES]) if len(lines) > _LOG_LINES else ""
    return {"log_tail": "\n".join(lines[-_LOG_LINES:]), "log_head": head, "log_lines": len(lines)}


def _advice(job: Job, alerts: Sequence[NamedAlert], lines: Sequence[str], texts: NullTranslations) -> str:
    """Return what to try, as the mail of the job's alert says it. An unclear text has two buttons instead."""
    opened = alerts[0].alert if alerts else None
    kind = opened.kind if opened is not None else AlertKind.FAILED if job.failures_in_row else None
    if kind is None or kind is AlertKind.UNCLEAR:
        return ""
    message = opened.message if opened is not None and opened.message else job.last_message
    return texts.gettext(hint_for(kind, message, tuple(lines[-_LINES_OF_ADVICE:])))


def _usual(charted: Sequence[Run]) -> dict[str, float]:
    """Return the medians of the good runs."""
    good = [_amounts(run) for run in charted if run.outcome == "success"]
    of_name = {name: [one[name] for one in good if name in one] for name in _CHARTED}
    return {name: statistics.median(values) for name, values in of_name.items() if values}


def _latest(charted: Sequence[Run], usual: Mapping[str, float]) -> dict[str, LastAmount]:
    """Return the amounts of the newest run, each next to its median. `charted`: the newest first."""
    amounts = _amounts(charted[0]) if charted else {}
    found = {}
    for name, median in usual.items():
        if name in amounts:
            percent = round((amounts[name] / median - 1) * 100)
            sign = "+" if percent > 0 else "\N{MINUS SIGN}"
            found[name] = LastAmount(amounts[name], f"{sign}{abs(percent)}", abs(percent) >= _FAR_PERCENT)
    return found


def _amounts(run: Run) -> dict[str, float]:
    """Return what a run reported that is charted; a duration of zero says nothing."""
    found = {name: float(run.metrics[name]) for name in _CHARTED[1:] if run.metrics.get(name) is not None}
    return {**({"duration_s": run.duration_s} if run.duration_s else {}), **found}


def _imagined(job: Job, now: datetime) -> Alert:
    """Return the alert that a failure would open now, to ask the routes about it."""
    return Alert(
        "", job.customer_id, job.agent_id, job.id, AlertKind.FAILED, Severity.ERROR, "", now, now, now, job_id=job.id
    )


async def _routed(tx: ReadTx, alert: NamedAlert, now: datetime, who: SignedIn) -> dict[str, object]:
    """Return what the page shows of the routes of this alert: whom they would notify, and which ones would not."""
    passed = await _passed_routes(tx, alert) if who.customers is None else []  # their names can name other customers
    return {"notified": await _would_notify(tx, alert, now), "passed": passed, "passed_most": _ROUTES_SHOWN}


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


async def _passed_routes(tx: ReadTx, alert: NamedAlert) -> list[PassedRoute]:
    """Return the routes for this customer, or for all, that would not report this alert."""
    facts, routes = facts_of(alert), await all_routes(tx)
    taken = {route.id for route in matching_routes(alert.alert.customer_id, facts, routes)}
    passed = [one for one in routes if one.id not in taken and one.customer_id in (None, alert.alert.customer_id)]
    names = await recipients_by_id(tx, [own for route in passed for own in route.recipients])
    found = []
    for route in passed:
        unmet = next((one for one in route.matchers if not all_match([one], facts)), None)
        why = "off" if not route.enabled else "unmet" if unmet is not None else "shadowed"
        recipients = [names[own].name for own in route.recipients if own in names]
        found.append(PassedRoute(route.name, recipients, why, unmet))
    return found
