"""GET /v1/events: what agents and our own clock reported, with those that were set aside and why, and how these are retried.

POST /v1/events, by which agents send events, is in events.py.
"""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, Field, JsonValue

from app.admin import events as admin_events
from app.admin import teach as admin_teach
from app.domain.event import Activity, EventKind, EventState, Phase, RunOutcome, Severity
from app.http.api.dependencies import Admin, Context, ScopedReader, editor_of, problems
from app.http.api.fields import Id, OutId, OutModel, PathId, StrictModel, example
from app.http.api.mail_rules import MailOutcome, MailRuleName, MailRuleOut
from app.http.api.scoped_query import ScopedQuery, narrowed, seen
from app.http.paging import PageOut
from app.intake.accept import Intake
from app.store.events import EVENTS, EventFilters, page_events

router = APIRouter(prefix="/v1/events", tags=["events"])


class ListedEventOut(OutModel):
    """An event in a list, without what is long."""

    id: OutId
    customer_id: str = Field(description="The customer of the agent.")
    agent_id: str = Field(description="The agent that reported it, or that it is about.")
    key: str = Field(
        description="What makes it unique for its agent: sent again with the same key, it is not stored again."
    )
    kind: EventKind = Field(
        description="`report`: an agent sent it. `taught`: an administrator stated what another event means. Otherwise our own clock wrote it."
    )
    state: EventState = Field(
        description="`new`: not decided on yet. `folded`: decided on. `set_aside`: it could not be decided on, see `error`."
    )
    job: str | None = Field(description="The name of the job.")
    run: str | None = Field(description="The name of the run, as the agent sent it.")
    run_id: str | None = Field(description="The run that it belongs to.")
    activity: Activity = Field(description="What was done.")
    phase: Phase | None = Field(description="Which part of its run it reports; null for a plain message.")
    outcome: RunOutcome | None = Field(description="How the run ended, where the event says so.")
    severity: Severity = Field(description="How serious it is.")
    occurred_at: datetime = Field(
        description="When it happened: the time that the agent sent, corrected if its clock is known to be wrong."
    )
    received_at: datetime = Field(description="When we received it.")
    message: str | None = Field(description="One line for people.")
    flags: list[str] | None = Field(description="What was altered when it was received.")
    error: str | None = Field(description="Why it was set aside.")


class EventPage(PageOut[ListedEventOut]):
    """A page of events."""


class EventOut(ListedEventOut):
    """An event, whole."""

    log: str | None = Field(description="Its log.")
    metrics: dict[str, float] | None = Field(description="Its numbers, such as `bytes_processed`.")
    labels: dict[str, str] | None = Field(description="Its labels, for matchers.")
    extra: dict[str, JsonValue] | None = Field(
        description="What else the agent sent. `reading`, written by us: what the text means, the words that decided, and the rule."
    )


class TeachIn(StrictModel, json_schema_extra=example(outcome="success")):
    """An answer: what a text means."""

    outcome: MailOutcome
    name: MailRuleName | None = Field(
        default=None, description="The name of the mail rule that is made; null: a name is made from the text."
    )


class LessonOut(BaseModel):
    """What an answer changed."""

    rule: MailRuleOut = Field(description="The rule that reads later texts of this form.")
    event_ids: list[str] = Field(description="The events whose runs now have this outcome.")
    alert_ids: list[str] = Field(description="The alerts of kind `unclear` that were closed by the answer.")


class RetriedOut(BaseModel):
    """How many events are decided on again."""

    retried: int = Field(description="How many there were; 0 when none is set aside any more.", examples=[3])


class EventsQuery(ScopedQuery):
    """Filters of the list of events.

    An event that names no job belongs to the job that is called like its activity, if it begins or ends a run.
    """

    run_id: Annotated[Id | None, Field(description="Only those of this run.")] = None
    state: Annotated[EventState | None, Field(description="Only those in this state.")] = None
    kind: Annotated[EventKind | None, Field(description="Only those of this kind.")] = None
    activity: Annotated[Activity | None, Field(description="Only those of this activity.")] = None
    phase: Annotated[Phase | None, Field(description="Only those of this phase.")] = None
    outcome: Annotated[RunOutcome | None, Field(description="Only those with this outcome.")] = None
    severity: Annotated[Severity | None, Field(description="Only those of this severity.")] = None

    def filters(self) -> EventFilters:
        """Return the filters for the store."""
        return EventFilters(
            self.scope(),
            run_id=self.run_id,
            state=self.state,
            kind=self.kind,
            activity=self.activity,
            phase=self.phase,
            outcome=self.outcome,
            severity=self.severity,
        )


@router.get("", operation_id="list_events", summary="List events", responses=problems())
async def list_events(query: Annotated[EventsQuery, Query()], context: Context, caller: ScopedReader) -> EventPage:
    """Return events, those that we received last first, without log, metrics, labels and extra."""
    async with context.database.read() as tx:
        page = await page_events(tx, narrowed(query, caller).filters(), query.window(EVENTS.prefix))
    return EventPage.of(page)


@router.get("/{event_id}", operation_id="get_event", summary="Get an event", responses=problems(404))
async def get_event(event_id: PathId, context: Context, caller: ScopedReader) -> EventOut:
    """Return one event, whole."""
    async with context.database.read() as tx:
        return EventOut.of(seen(await EVENTS.get(tx, event_id), "event", caller))


@router.post(
    "/{event_id}:retry",
    operation_id="retry_event",
    summary="Decide again on an event that was set aside",
    responses=problems(404, 409),
)
async def retry_event(event_id: PathId, context: Context, caller: Admin) -> EventOut:
    """Queue the event to be decided on again, without its error. Refused (409) unless it is set aside."""
    async with context.database.write() as tx:
        await admin_events.retry_event(tx, event_id, editor_of(context, caller))
        return EventOut.of(await EVENTS.get(tx, event_id))


@router.post(
    "/{event_id}:teach",
    operation_id="teach_event",
    summary="Say what the text of an event means",
    responses=problems(404, 409),
)
async def teach_event(event_id: PathId, body: TeachIn, request: Request, context: Context, caller: Admin) -> LessonOut:
    """Say what a text means that was read as `unclear`, or was read wrongly.

    The run of the event gets this outcome. So do all unclear runs whose text has the same form, that is, differs only in numbers,
    dates, times, ids and sizes; their alerts of kind `unclear` close. The answer `failure` opens an alert. A mail rule is made from
    the form, so that later texts of this form are known. The same answer again changes nothing; a different one replaces the first.
    Refused (409) with `not_from_words` if the outcome was not read from words, and with `no_text` if the event has no words.
    """
    intake: Intake = request.app.state.intake
    by = editor_of(context, caller)
    try:
        lesson = await admin_teach.teach_event(context.database, event_id, RunOutcome(body.outcome), body.name, by)
    finally:
        intake.texts.forget()  # otherwise the next text would be read by the rules of some seconds ago
    return LessonOut(
        rule=MailRuleOut.of(lesson.rule), event_ids=list(lesson.event_ids), alert_ids=list(lesson.alert_ids)
    )


@router.post(
    ":retry-set-aside",
    operation_id="retry_set_aside_events",
    summary="Decide again on all events that were set aside",
    responses=problems(),
)
async def retry_set_aside_events(context: Context, caller: Admin) -> RetriedOut:
    """Queue the events that are set aside to be decided on again: at most 10 000 in one call, the oldest first.

    Call it again until it returns 0.
    """
    return RetriedOut(retried=await admin_events.retry_set_aside_events(context.database, editor_of(context, caller)))
