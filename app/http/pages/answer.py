"""/answer/...: where the recipient of an alert mail answers it. The link is signed, so nobody signs in.

GET changes nothing, because programs that scan mails open links: only the buttons act. The signed address is also what keeps other
sites from sending these forms: nobody else knows it.
"""

from datetime import datetime
from typing import Annotated
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import HTMLResponse

from app.admin.answers import UNDO_FOR, AnswerKind, AskedAlert, answer, read_question, silence_end, zone_of
from app.context import AppContext
from app.core.errors import BadInput, Conflict, NotFound
from app.domain.answer_link import PATH
from app.http.api.dependencies import Context
from app.http.pages.frame import render
from app.http.pages.now import forget_kept
from app.http.pages.session import read_form, text_of
from app.http.pages.silence_lengths import mornings

router = APIRouter(include_in_schema=False)
_COMMENT_LONGEST = 200
_SILENCES = (AnswerKind.SILENCE_4H, AnswerKind.SILENCE_MORNING)
Token = Annotated[str, Path(max_length=200)]
Silence = Annotated[str, Query(max_length=10)]


@router.get(PATH + "{token}")
async def show_answer(token: Token, request: Request, context: Context, silence: Silence = "") -> HTMLResponse:
    """Show the alert and what can be answered. `silence`: which button comes first."""
    asked = await _read(context, token)
    return _page(request, context, asked, silence=silence)


@router.post(PATH + "{token}")
async def post_answer(token: Token, request: Request, context: Context) -> HTMLResponse:
    """Do what was answered, in the name of the address that the mail went to. Done before, it says so."""
    form = await read_form(request)
    chosen = text_of(form, "answer")
    kind = next((one for one in AnswerKind if one.value == chosen), None)
    asked = await _read(context, token)
    if asked is None or asked.is_over or kind is None:
        return _page(request, context, asked)
    comment = " ".join(text_of(form, "comment").split())[:_COMMENT_LONGEST] or None
    try:
        async with context.database.write() as tx:
            asked = await read_question(tx, context, token)
            if _is_done(asked, kind):
                return _page(request, context, asked, used=kind)
            ends_at = await answer(tx, context, asked, kind, comment)
    except (
        BadInput,
        Conflict,
        NotFound,
    ):  # closed, deleted, or the morning passed in the meantime: the page shows how it is now
        return _page(request, context, await _read(context, token))
    forget_kept(request)
    return _page(request, context, await _read(context, token), done=kind, ends_at=ends_at)


async def _read(context: AppContext, token: str) -> AskedAlert | None:
    try:
        async with context.database.read() as tx:
            return await read_question(tx, context, token)
    except NotFound:
        return None


def _is_done(asked: AskedAlert, kind: AnswerKind) -> bool:
    """Say whether it was answered so before, by this link or by somebody else."""
    if kind is AnswerKind.UNDO:
        return False
    if kind is AnswerKind.TAKE_OVER:
        return asked.is_mine
    if kind is AnswerKind.TAKE_ON:
        return asked.alert.acknowledged_at is not None
    return asked.silenced is not None


def _offered(now: datetime, zone: ZoneInfo) -> list[tuple[str, datetime]]:
    """Return the silences to choose from with the end of each. In the night, `tomorrow` can mean the coming morning: both are offered."""
    is_night = any(one.is_today for one in mornings(now, zone))
    kinds = [AnswerKind.SILENCE_4H, *([AnswerKind.SILENCE_TODAY] if is_night else []), AnswerKind.SILENCE_MORNING]
    return [(kind.value, silence_end(kind, now, zone)) for kind in kinds]


def _page(
    request: Request,
    context: AppContext,
    asked: AskedAlert | None,
    *,
    silence: str = "",
    done: AnswerKind | None = None,
    used: AnswerKind | None = None,
    ends_at: datetime | None = None,
) -> HTMLResponse:
    is_known = asked is not None and not asked.is_over
    now = context.clock()
    zone = None if asked is None else zone_of(asked.customer)
    first = next((kind for kind in _SILENCES if kind.value == silence), AnswerKind.TAKE_ON)
    return render(
        request,
        context,
        None,
        "answer.html",
        status=200 if is_known else 404 if asked is None else 410,
        asked=asked,
        first=first.value,
        answered=None if done is None else done.value,
        can_undo=asked is not None and (asked.acknowledged_just_now(now) or asked.silenced_just_now(now)),
        undo_for=UNDO_FOR.seconds,
        used=None if used is None else used.value,
        ends_at=ends_at,
        silences=[] if zone is None else _offered(now, zone),
        path=request.url.path,
    )
