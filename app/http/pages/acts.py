"""/act/...: what people do on pages. Each is a POST of a form with its token, and answers with a redirect to the page that sent it.

What was done, and the moment at which it was done, are in the address of that page: by the moment it can be undone for ten seconds.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Annotated
from urllib.parse import parse_qsl, urlencode, urlsplit

from fastapi import APIRouter, Depends, Request
from fastapi.responses import RedirectResponse, Response
from starlette.datastructures import FormData

from app.admin import alerts as admin_alerts
from app.admin import messages as admin_messages
from app.admin import silences as admin_silences
from app.admin.audit import done_at
from app.admin.editing import Editor
from app.admin.teach import teach_event
from app.context import AppContext
from app.core.errors import Conflict, NotFound, TocsinError
from app.core.ids import new_id
from app.domain.event import RunOutcome
from app.domain.matcher import Comparison, Matcher
from app.domain.person import Role
from app.domain.problem import NamedAlert
from app.domain.route import Silence
from app.http.api.dependencies import Context
from app.http.pages.done import SHOWN_FOR, moment_of, signed
from app.http.pages.frame import viewer_of
from app.http.pages.now import forget_kept
from app.http.pages.session import PostedForm, SignedIn, need_role, safe_next
from app.http.pages.silence_lengths import UNTIL_FIXED, silence_end
from app.store.alerts import has_open_alert, read_alerts
from app.store.events import EVENTS
from app.store.messages import MESSAGES
from app.store.repository import Window
from app.store.routing import page_silences
from app.store.transactions import WriteTx

router = APIRouter(include_in_schema=False)

# Longer than a page promises, for slow connections. The others are not notified until then: they would believe what was undone.
UNDO_ACCEPTED = timedelta(seconds=30)
_MOST, _TOGETHER = 500, 50
_MOST_SILENCES = 100
_MOST_RETRIES = 2_000  # by one press of a button: each piece waits for its turn to write
Operator = Annotated[SignedIn, Depends(need_role(Role.OPERATOR))]


@router.post("/act/acknowledge")
async def post_acknowledge(request: Request, context: Context, who: Operator, form: PostedForm) -> Response:
    """Take alerts on that nobody has; those that somebody has stay with them."""
    return await _take(request, context, who, form, is_taken_over=False)


@router.post("/act/take-over")
async def post_take_over(request: Request, context: Context, who: Operator, form: PostedForm) -> Response:
    """Take alerts over from whoever has them."""
    return await _take(request, context, who, form, is_taken_over=True)


@router.post("/act/close")
async def post_close(request: Request, context: Context, who: Operator, form: PostedForm) -> Response:
    """Close alerts by hand; those that are closed already stay as they are."""
    by, reason = who.editor(context), _comment(form) or "on the dashboard"
    chosen = [one for one in await _chosen(context, who, form) if one.alert.closed_at is None]
    for part in _parts(chosen):
        async with context.database.write() as tx:
            for one in part:
                await admin_alerts.close_alert(tx, one.alert.id, reason, by)
    return back_to(request, form, "closed", len(chosen), by)


@router.post("/act/silence")
async def post_silence(request: Request, context: Context, who: Operator, form: PostedForm) -> Response:
    """Silence what alerts are about: the job, or the agent where an alert is about an agent."""
    by = who.editor(context)
    length = str(form.get("for", ""))
    ends_at = silence_end(length, by.at, viewer_of(request, context, who).zone)
    if ends_at <= by.at:  # the page was opened before that morning
        return back_to(request, form, "", 0, by, trouble="too-late-for-morning")
    chosen = await _chosen(context, who, form)
    subjects = {one.alert.subject_id: one for one in chosen}
    if len(subjects) > _MOST_SILENCES:
        return back_to(request, form, "", 0, by, trouble="too-many")
    silenced: set[str] = set()
    for part in _parts(list(subjects.values())):
        async with context.database.write() as tx:
            for one in part:
                if length == UNTIL_FIXED and not await has_open_alert(
                    tx, one.alert.customer_id, one.alert.agent_id, one.alert.job_id
                ):
                    continue  # it is fixed already: what the silence would mute is the next failure
                await admin_silences.create_silence(tx, _silence_of(one, ends_at, length, _comment(form), by), by)
                silenced.add(one.alert.subject_id)
    if not silenced:
        return back_to(request, form, "", 0, by, trouble="stale_edit")
    return back_to(request, form, "silenced", sum(one.alert.subject_id in silenced for one in chosen), by)


@router.post("/act/teach")
async def post_teach(request: Request, context: Context, who: Operator, form: PostedForm) -> Response:
    """Store what an unclear text means."""
    by, event_id = who.editor(context), str(form.get("id", ""))
    outcome = {"success": RunOutcome.SUCCESS, "failure": RunOutcome.FAILURE, "warning": RunOutcome.WARNING}.get(
        str(form.get("outcome", ""))
    )
    if outcome is None:
        raise NotFound("there is no such outcome")
    async with context.database.read() as tx:
        event = await EVENTS.get(tx, event_id)
    if not who.sees(event.customer_id):
        raise NotFound(f"there is no event {event_id}")
    # What was read as a failure stays one, whatever event a form names: only who edits rules may teach otherwise, by the API.
    if event.outcome is not RunOutcome.UNCLEAR:
        raise NotFound(f"there is no event {event_id} that waits for an answer")
    try:
        lesson = await teach_event(context.database, event_id, outcome, None, by)
    except Conflict as cause:
        return back_to(request, form, "", 0, by, trouble=cause.code)
    request.app.state.intake.texts.forget()  # otherwise the next text would be read by the rules of some seconds ago
    return back_to(request, form, "taught", len(lesson.event_ids), by)


@router.post("/act/retry")
async def post_retry(request: Request, context: Context, who: Operator, form: PostedForm) -> Response:
    """Queue dead or bounced messages again: those that are named, or all of one cause."""
    by, settings = who.editor(context), context.settings
    retry_for, patience = timedelta(hours=settings.retry_for_h), timedelta(minutes=settings.failover_after_min)
    if form.get("all") == "1" and who.customers is None:
        meant = admin_messages.DeadMessages(
            transport=str(form.get("transport") or "") or None, cause=str(form.get("cause") or "") or None
        )
        retried = refused = 0
        for _ in range(_MOST_RETRIES // admin_messages.AT_ONCE):
            done = await admin_messages.retry_messages(context.database, meant, retry_for, patience, by)
            retried, refused, meant = retried + done.retried, refused + done.refused, replace(meant, before=done.next)
            if done.next is None:
                break
        trouble = "more" if meant.before is not None else "refused" if refused else ""
        return back_to(request, form, "retried", retried, by, trouble=trouble)
    retried = 0
    trouble = ""
    for message_id in _ids(form):
        try:
            async with context.database.write() as tx:
                message = await MESSAGES.get(tx, message_id)
                if not who.sees(message.customer_id):
                    raise NotFound(f"there is no message {message_id}")
                await admin_messages.retry_message(tx, message_id, retry_for, patience, by)
            retried += 1
        except TocsinError as cause:
            trouble = cause.code
    return back_to(request, form, "retried" if retried else "", retried, by, trouble=trouble)


@router.post("/act/undo")
async def post_undo(request: Request, context: Context, who: Operator, form: PostedForm) -> Response:
    """Take back what this person did at one moment, if that was just now."""
    by = who.editor(context)
    what, _, moment = str(form.get("undo", "")).partition(" ")
    at = moment_of(moment)
    if at is None or not timedelta(0) <= by.at - at <= UNDO_ACCEPTED:
        return back_to(request, form, "", 0, by, trouble="too-late")
    async with context.database.write() as tx:
        match what:
            case "acknowledged":
                undone = len(await admin_alerts.undo_acknowledgement(tx, at, by))
            case "closed":
                undone = len(await admin_alerts.undo_closing(tx, at, by))
            case "silenced":
                undone = await _undo_silences(tx, at, by)
            case _:
                undone = 0
    return back_to(request, form, "undone", undone, by)


async def _take(
    request: Request, context: AppContext, who: SignedIn, form: FormData, *, is_taken_over: bool
) -> Response:
    by, comment = who.editor(context), _comment(form)
    chosen = [one for one in await _chosen(context, who, form) if one.alert.closed_at is None]
    taken = 0  # who read "it is yours" of an alert of another would believe that they must see to it
    for part in _parts(chosen):
        async with context.database.write() as tx:
            for one in part:
                if is_taken_over:
                    await admin_alerts.take_over_alert(tx, one.alert.id, comment, by)
                    is_taken = True
                else:
                    is_taken = await admin_alerts.acknowledge_alert(tx, one.alert.id, None, comment, by)
                if is_taken:
                    await admin_alerts.tell_others(tx, one.alert.id, who.person.email, by, UNDO_ACCEPTED)
                    taken += 1
    if not taken:
        return back_to(request, form, "", 0, by, trouble="stale_edit")
    return back_to(request, form, "taken-over" if is_taken_over else "acknowledged", taken, by)


def _silence_of(one: NamedAlert, ends_at: datetime, length: str, comment: str | None, by: Editor) -> Silence:
    about = [("agent", one.agent)] + ([("job", one.job)] if one.job is not None else [])
    return Silence(
        id=new_id("sil"),
        matchers=tuple(Matcher(field, Comparison.IS, name) for field, name in about),
        starts_at=by.at,
        ends_at=ends_at,
        comment=comment or "on the dashboard",
        created_by=by.who,
        customer_id=one.alert.customer_id,
        until_fixed=length == UNTIL_FIXED,
        created_at=by.at,
    )


async def _undo_silences(tx: WriteTx, at: datetime, by: Editor) -> int:
    own = await done_at(tx, by, "create", "silence", at)
    page = await page_silences(tx, Window(_MOST_SILENCES), by.at, created_by=by.who, state="current")
    mine = [silence for silence in page.items if silence.id in own]
    for silence in mine:
        await admin_silences.delete_silence(tx, silence.id, by)
    return len(mine)


async def _chosen(context: AppContext, who: SignedIn, form: FormData) -> list[NamedAlert]:
    """Return the alerts that the form names and that the person may see."""
    async with context.database.read() as tx:
        found = await read_alerts(tx, _ids(form), who.customers)
    if not found:
        raise NotFound("there is no such alert")
    return sorted(found, key=lambda one: one.alert.id)


def _ids(form: FormData) -> list[str]:
    """Return the ids that a form names. A value may hold several."""
    ids = [own.strip()[:40] for value in form.getlist("id") for own in str(value).split(",")]
    return list(dict.fromkeys(own for own in ids if own))[:_MOST]


def _parts(chosen: Sequence[NamedAlert]) -> list[Sequence[NamedAlert]]:
    """Cut a long list: nobody who writes may wait long for one that acts on many alerts."""
    return [chosen[start : start + _TOGETHER] for start in range(0, len(chosen), _TOGETHER)]


def _comment(form: FormData) -> str | None:
    return str(form.get("comment") or "").strip()[:180] or None


def back_to(request: Request, form: FormData, done: str, count: int, by: Editor, *, trouble: str = "") -> Response:
    """Go back to the page that sent the form, which says what was done."""
    forget_kept(request)
    back = urlsplit(safe_next(str(form.get("back") or "/")))
    kept = [(name, value) for name, value in parse_qsl(back.query) if name not in SHOWN_FOR]
    outcome = {"done": done, "n": str(count), "at": by.at.isoformat()} if done else {}
    outcome |= {"trouble": trouble} if trouble else {}
    csrf = str(form.get("csrf") or request.headers.get("x-csrf-token", ""))  # which was checked
    shown = urlencode([*kept, *signed(outcome, csrf).items()])
    return RedirectResponse(back.path + (f"?{shown}" if shown else ""), 303)
