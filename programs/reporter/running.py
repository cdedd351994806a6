"""`run`: the command as it is, and around it what is told. The order is: record on the disk, command, start told meanwhile; end on the disk, then told.

Whatever of ours fails, the command runs, and its exit code is ours. After its end we take ten seconds at most.
"""

from __future__ import annotations

import sys
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from datetime import datetime, timezone
from typing import Any

from programs.protocol.report import FAILURE, FINISHED, STARTED, WARNING, ReportedEvent
from programs.reporter import VERSION
from programs.reporter.capture import CapturedOutput
from programs.reporter.command import CannotStart, CommandChild, CommandEnd
from programs.reporter.event_sender import EventSender, one_line
from programs.reporter.outcome import RunOutcome, judge
from programs.reporter.readings.read import log_of, read
from programs.reporter.readings.reading import Reading
from programs.reporter.records import RunRecord, cut_off
from programs.reporter.settings import ReporterSettings
from programs.reporter.spool import ReporterSpool
from programs.reporter.tools import tool_of

END_S = 8.0  # from the command's end to ours
_COLLECT_S = 4.0  # of these, for what it printed last to be carried
_START_S = 8.0


class ReportedRun:
    """One run of a command, as it is told. `trouble` is what went wrong on our side, for the line on stderr."""

    def __init__(self, command: Sequence[str], settings: ReporterSettings, job: str, *, keeps_log: bool) -> None:
        self.tool = tool_of(command)
        self.trouble = ""
        self._settings, self._keeps_log = settings, keeps_log
        self._id, self._job = uuid.uuid4().hex, job or self.tool.title
        self._started = time.monotonic()
        self._began = threading.Event()
        self._lock = threading.Lock()
        self._spool: ReporterSpool | None = None
        self._record: RunRecord | None = None
        self._started_event = self._event(STARTED, {})

    def begin(self) -> None:
        """Write the record: from now on the run cannot go unheard."""
        cut = f"tocsin-report was killed while {self.tool.title} ran; how it ended is not known"
        try:
            self._spool = ReporterSpool(self._settings.spool)
            self._record = RunRecord.write(
                self._spool, self._id, self._event(FINISHED, {"outcome": WARNING, "message": cut})
            )
        except OSError as cause:
            self._say(f"nothing can be kept in {self._settings.spool}: {cause.strerror or cause}")

    def tell_start(self) -> None:
        """Tell that it began; in a thread of its own, for the command does not wait for it."""
        try:
            if self._record is not None:
                self._record.sync()
            if self._spool is not None:
                self._spool.put(self._started_event)
        except (OSError, ValueError) as cause:
            self._say(f"the start could not be kept: {cause}")
        finally:
            self._began.set()
        self._deliver(time.monotonic() + _START_S, tries=1)  # if it fails now, it goes with the end

    def tell_end(self, ended: CommandEnd, seen: CapturedOutput, took_s: float, deadline: float) -> None:
        """Keep how it ended, then tell it."""
        event = self._ended_event(ended, seen, took_s)
        self._began.wait(max(0.0, deadline - time.monotonic() - END_S / 2))
        if self._keep(event):
            self._deliver(deadline)
        elif EventSender(self._settings).send_past_the_disk(event, deadline):
            self.trouble = ""
            if self._record is not None:
                self._record.give_up()
        else:
            self._say(f"the outcome ({event['outcome']}) could neither be kept nor sent")

    def take_over(self, seen: CapturedOutput) -> None:
        """Tell, in the keeper, that the reporter was killed; unless it had got so far that the outcome is known."""
        if self._record is None or self._spool is None:
            return
        self._record.rescue({**self._record.event_if_cut_off, "occurred_at": _now(), "log": log_of(seen)})
        self._deliver(time.monotonic() + END_S)

    def cannot_start(self, cause: CannotStart, deadline: float) -> None:
        """Tell that the command could not be run."""
        self._began.set()
        self.tell_end(CommandEnd(cause.exit_code), CapturedOutput(err=str(cause)), 0.0, deadline)

    def _keep(self, event: dict[str, Any]) -> bool:
        try:
            if self._record is not None:
                self._record.settle(event)
            elif self._spool is not None:
                self._spool.put(event)
            else:
                return False
        except OSError as cause:
            self._say(f"nothing can be kept in {self._settings.spool}: {cause.strerror or cause}")
            return False
        return True

    def _deliver(self, deadline: float, tries: int = 2) -> None:
        if self._spool is None:
            return
        courier = EventSender(self._settings)
        try:
            for record in cut_off(self._spool):
                record.rescue()
            if not courier.deliver(self._spool, deadline, tries) or courier.trouble:
                self._say(courier.trouble)
            else:
                self.trouble = ""
        except OSError as cause:
            self._say(f"{self._settings.spool}: {cause.strerror or cause}")

    def _ended_event(self, ended: CommandEnd, seen: CapturedOutput, took_s: float) -> dict[str, Any]:
        reading = read(self.tool, seen)
        judged = judge(self.tool, ended, reading)
        metrics = {"duration_s": round(took_s, 3), **reading.metrics}
        metrics.update({"signal": ended.signal} if ended.signal else {"exit_code": ended.exit_code})
        if ended.peak_memory:
            metrics["peak_memory_bytes"] = ended.peak_memory
        log = log_of(seen) if self._keeps_log else ""
        return self._event(FINISHED, _said(judged, reading, metrics, log))

    def _event(self, phase: str, said: dict[str, Any]) -> dict[str, Any]:
        extra = {"reporter": VERSION, "tool": self.tool.title, **said.pop("extra", {})}
        return ReportedEvent(
            key=f"{self._id}/{phase}", occurred_at=_now(), job=self._job, run=self._id, phase=phase,
            agent=self._settings.agent, activity=self.tool.activity, extra=extra, **said,
        ).as_json()  # fmt: skip

    def _say(self, words: str) -> None:
        with self._lock:
            self.trouble = words


def run(command: Sequence[str], settings: ReporterSettings, *, job: str, is_quiet: bool, keeps_log: bool) -> None:
    """Run a command and tell of it. Ends this process as the command ended."""
    told = ReportedRun(command, settings, job, keeps_log=keeps_log)
    _guarded(told, told.begin)
    child = _child(command, told)
    began = time.monotonic()
    try:
        child.start()
    except CannotStart as cause:
        sys.stderr.write(f"tocsin-report: {cause}\n")
        ended = CommandEnd(cause.exit_code)
        refused = cause
        _within(told, END_S, lambda deadline: told.cannot_start(refused, deadline))
    else:
        threading.Thread(target=_guarded, args=(told, told.tell_start), daemon=True).start()
        ended = child.wait()
        took_s, end = time.monotonic() - began, time.monotonic() + END_S
        seen = child.collect(_COLLECT_S)
        _within(told, end - time.monotonic(), lambda deadline: told.tell_end(ended, seen, took_s, deadline))
    child.release()
    if told.trouble and not is_quiet:
        sys.stderr.write(f"tocsin-report: {one_line(told.trouble)}\n")
        sys.stderr.flush()
    child.leave(ended)


def _within(told: ReportedRun, seconds: float, work: Callable[[float], None]) -> None:
    """Do it for so long, and then go on without it: a disk or a name server that hangs must not hold the backup's script."""
    deadline = time.monotonic() + seconds
    thread = threading.Thread(target=_guarded, args=(told, lambda: work(deadline)), daemon=True)
    thread.start()
    thread.join(seconds + 1)
    if thread.is_alive() and not told.trouble:
        told.trouble = "it could not be told in time"


def _guarded(told: ReportedRun, work: Callable[[], None]) -> None:
    """Do it, and whatever goes wrong in it, only note it."""
    try:
        work()
    except Exception as cause:  # noqa: BLE001  (the rim of the reporter: no defect of ours may reach the backup)
        told.trouble = f"{type(cause).__name__}: {cause}"


def _child(command: Sequence[str], told: ReportedRun) -> CommandChild:
    if sys.platform == "win32":
        from programs.reporter.windows_child import WindowsChild  # noqa: PLC0415

        return WindowsChild(command)
    else:  # noqa: RET505  (mypy then judges either branch on its own system)
        from programs.reporter.posix_child import PosixChild  # noqa: PLC0415

        return PosixChild(command, told.take_over)


def _said(judged: RunOutcome, reading: Reading, metrics: dict[str, float], log: str) -> dict[str, Any]:
    severity = {FAILURE: "error", WARNING: "warning"}.get(judged.outcome, "info")
    said = {"outcome": judged.outcome, "severity": severity, "message": judged.message}
    return {**said, "metrics": metrics, "log": log, "extra": dict(reading.extra)}


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="microseconds")
