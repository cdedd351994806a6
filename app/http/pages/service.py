"""/service: whether the service itself works: its checks, transports, queues, disks, retention, version; and what the long doctor says."""

import asyncio
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from starlette.datastructures import FormData

from app.admin.retention import current_retention, set_retention
from app.admin.transports import record_transport_test
from app.context import AppContext
from app.core.disk import Space, limit_of
from app.core.errors import BadInput, Conflict, TocsinError
from app.core.settings import Settings
from app.domain.person import Role
from app.domain.retention import Retention
from app.http.api.dependencies import Context
from app.http.api.recipients import tested_address
from app.http.api.transports import configured_transports, read_transports
from app.http.health import COMPOSED_WITHIN, check_service
from app.http.metrics import ALIVE
from app.http.pages.doctor_texts import COULD_NOT_RUN, NOTHING_WRONG
from app.http.pages.done import saved_address
from app.http.pages.frame import render
from app.http.pages.session import PostedForm, SignedIn, need_everything, text_of
from app.http.trial_message import send_trial
from app.store.heartbeats import Heartbeat, heartbeats_since
from app.store.monitoring import OutboxDepth, OverdueNotices, outbox_depth, overdue_notices
from app.store.routing import TransportTest, all_recipients
from app.store.waiting import oldest_waiting_event

router = APIRouter(include_in_schema=False)
PAGE = "/service"
_DOCTOR_WITHIN_S = 60.0
_DAYS_MOST = 36_500
Administrator = Annotated[SignedIn, Depends(need_everything(Role.ADMINISTRATOR))]


@dataclass(frozen=True, slots=True)
class Queues:
    """What waits at each stage."""

    undecided_since: datetime | None
    uncomposed: OverdueNotices
    outbox: Sequence[OutboxDepth]
    workers: Sequence[Heartbeat]
    retention: Retention


@dataclass(frozen=True, slots=True)
class DiskRoom:
    """The room on the disk of one folder, in bytes."""

    folder: str
    free: int
    total: int
    is_low: bool


@dataclass(frozen=True, slots=True)
class DoctorLine:
    """One finding of `tocsin doctor`, and what to do about it. `is_wrong` False: a note."""

    is_wrong: bool
    text: str
    remedy: str = ""


@router.get(PAGE)
async def show_service(request: Request, context: Context, who: Administrator) -> HTMLResponse:
    """Show the state of the service. Only what is quick is checked; the long doctor has a button."""
    return await _page(request, context, who)


@router.post(PAGE + "/doctor")
async def post_doctor(request: Request, context: Context, who: Administrator, _form: PostedForm) -> HTMLResponse:
    """Run `tocsin doctor` in a process of its own: it asks mail servers and DNS, and needs some seconds."""
    lock: asyncio.Lock | None = getattr(request.app.state, "doctor_lock", None)
    if lock is None:
        lock = request.app.state.doctor_lock = asyncio.Lock()
    async with lock:  # one at a time, however often the button is pressed
        lines = await _run_doctor()
    return await _page(request, context, who, doctor=lines)


@router.post(PAGE + "/test")
async def post_test(request: Request, context: Context, who: Administrator, form: PostedForm) -> HTMLResponse:
    """Send a test message over a transport at once, and show what the other side answered."""
    kind = text_of(form, "transport")
    try:
        if kind not in configured_transports(context):
            return await _page(request, context, who, refused=Conflict(f"{kind[:20]} is not set up"))
        to = tested_address(kind, text_of(form, "address"), None, context, ())
        test, _seconds = await send_trial(context, to, "")
    except (BadInput, Conflict) as refused:
        return await _page(request, context, who, refused=refused)
    async with context.database.write() as tx:
        await record_transport_test(tx, test, to.address, who.editor(context))
    return await _page(request, context, who, test=test)


@router.post(PAGE + "/retention")
async def post_retention(request: Request, context: Context, who: Administrator, form: PostedForm) -> Response:
    """Set for how many days events and history are kept."""
    by = who.editor(context)
    try:
        events, history = _days_in(form, "events"), _days_in(form, "history")
        version = text_of(form, "version")
        async with context.database.write() as tx:
            kept = await current_retention(tx, context.settings)
            if (events < kept.keep_events_days or history < kept.keep_history_days) and not text_of(form, "sure"):
                raise BadInput("a smaller number deletes older data: tick the box to confirm that", field="sure")  # noqa: TRY301
            await set_retention(
                tx,
                context.settings,
                by,
                keep_events_days=events,
                keep_history_days=history,
                versions=[int(version)] if version.isascii() and version.isdecimal() else [-1],
            )
    except (BadInput, Conflict) as refused:
        return await _page(request, context, who, refused=refused)
    return RedirectResponse(saved_address(PAGE, who.csrf, by.at), 303)


def _days_in(form: FormData, name: str) -> int:
    text = text_of(form, name)
    days = int(text) if text.isascii() and text.isdecimal() and len(text) <= len(str(_DAYS_MOST)) else 0
    if not 1 <= days <= _DAYS_MOST:
        raise BadInput("must be a number of days, at least 1", field=name)
    return days


async def _run_doctor() -> Sequence[DoctorLine]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "app.cli", "doctor", "--json"),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(_DOCTOR_WITHIN_S):
            output, _ = await process.communicate()
    except TimeoutError:
        return [DoctorLine(is_wrong=True, text=f"the doctor did not end within {_DOCTOR_WITHIN_S:.0f} s")]
    finally:
        if process.returncode is None:  # it took too long, or the request was given up
            process.kill()
            await process.wait()
    try:
        checks = json.loads(output)["checks"]
        found = [one for one in checks if one["text"] != NOTHING_WRONG]
        return [DoctorLine(one["state"] == "problem", one["text"], one["remedy"] or "") for one in found]
    except (ValueError, KeyError, TypeError):
        return [DoctorLine(is_wrong=True, text=COULD_NOT_RUN)]


async def _page(
    request: Request,
    context: AppContext,
    who: SignedIn,
    *,
    refused: TocsinError | None = None,
    doctor: Sequence[DoctorLine] | None = None,
    test: TransportTest | None = None,
) -> HTMLResponse:
    now = context.clock()
    checks = await check_service(context, getattr(request.app.state, "stopped", None))
    async with context.database.read() as tx:
        queues = Queues(
            await oldest_waiting_event(tx),
            await overdue_notices(tx, now - COMPOSED_WITHIN),
            await outbox_depth(tx),
            await heartbeats_since(tx, now - ALIVE),
            await current_retention(tx, context.settings),
        )
        of_recipients = {to.transport for one in await all_recipients(tx) for to in one.transports}
    transports = await read_transports(context)
    used = {one.transport for one in transports if one.last_test or one.trouble or one.waiting or one.mail_times}
    in_use = {*context.settings.mail_transports, *of_recipients, *used}
    return render(
        request,
        context,
        who,
        "service.html",
        status=200 if refused is None else refused.status,
        place="service",
        checks=checks,
        bad=[check for check in checks if check.status != "ok"],
        transports=transports,
        in_use=in_use,
        idle=[one for one in transports if one.transport not in in_use],
        sends=configured_transports(context),
        queues=queues,
        disks=await asyncio.to_thread(_disks, context.settings),
        database="SQLite" if context.settings.is_sqlite else "PostgreSQL",
        database_file=context.settings.database_file,
        folder=context.settings.var_dir,
        refused=refused,
        doctor=doctor,
        test=test,
    )


def _disks(settings: Settings) -> list[DiskRoom]:
    """Return the room of each disk that Tocsin writes to. May block as long as a disk does: call it in a thread."""
    file = settings.database_file
    folders: list[Path] = [settings.var_dir, *([] if file is None else [file.parent])]
    found = []
    for folder in dict.fromkeys(one.absolute() for one in folders):
        try:
            space = Space.of(folder)
        except OSError:
            continue
        low = space.free < limit_of(settings.disk_free, space.total) or space.has_few_files
        found.append(DiskRoom(str(folder), space.free, space.total, low))
    return found
