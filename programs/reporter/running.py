"""`run`: run the command unchanged, and report it. The record is on the disk first; the start is reported while the command runs.

Then the end is stored on the disk, and reported. Whatever fails in the reporter, the command runs, and its exit code is ours. After its
end we take ten seconds at most.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timezone
from typing import Any

from programs.protocol.report import FAILURE, FINISHED, STARTED, WARNING, ReportedEvent
from programs.reporter import VERSION
from programs.reporter.capture import CapturedOutput
from programs.reporter.command import CannotStart, CommandChild, CommandEnd
from programs.reporter.event_sender import EventSender, one_line
from programs.reporter.outcome import judge
from programs.reporter.readings.read import log_of, read
from programs.reporter.records import RunRecord, cut_off
from programs.reporter.settings import ReporterSettings
from programs.reporter.spool import ReporterSpool
from programs.reporter.tools import tool_of

END_S = 8.0  # between the command's end and ours
_COLLECT_S = 4.0  # of these, for its last output to be passed on
_START_S = 8.0
_SHORT_S = 0.1  # a command that ends sooner is reported in one exchange


class ReportedRun:
    """One run of a command and its reports. `trouble` is what failed on our side, for the line on stderr."""

    def __init__(self, command: Sequence[str], settings: ReporterSettings, job: str, *, keeps_log: bool) -> None:
        self.tool = tool_of(command)
        self.trouble = ""
        self._settings, self._keeps_log = settings, keeps_log
        self._id, self._job = os.urandom(16).hex(), job or self.tool.title
        self._started = time.monotonic()
        self._began, self._ended = threading.Event(), threading.Event()
        self._lock = threading.Lock()
        self._spool: ReporterSpool | None = None
        self._record: RunRecord | None = None
        self._started_event = self._event(STARTED, {})

    def begin(self) -> None:
        """Write the record: from now on the run will be reported, whatever happens."""
        cut = f"tocsin-report was killed while {self.tool.title} ran; how it ended is not known"
        try:
            self._spool = ReporterSpool(self._settings.spool)
            self._record = RunRecord.write(
                self._spool, self._id, self._event(FINISHED, {"outcome": WARNING, "message": cut})
            )
        except OSError as cause:
            self._note_trouble(f"nothing can be stored in {self._settings.spool}: {cause.strerror or cause}")

    def report_start(self) -> None:
        """Report the start; in a thread of its own, as the command does not wait for it."""
        try:
            if self._record is not None:
                self._record.sync()
            if self._spool is not None:
                self._spool.put(self._started_event)
        except (OSError, ValueError) as cause:
            self._note_trouble(f"the start could not be stored: {cause}")
        finally:
            self._began.set()
        if not self._ended.wait(_SHORT_S):
            self._deliver(time.monotonic() + _START_S, tries=1)  # if it fails now, it is sent with the end

    def report_end(self, ended: CommandEnd, seen: CapturedOutput, took_s: float, deadline: float) -> None:
        """Store how it ended, then report it."""
        self._ended.set()
        reading = read(self.tool, seen)
        judged = judge(self.tool, ended, reading)
        metrics = {"duration_s": round(took_s, 3), **reading.metrics}
        metrics.update({"signal": ended.signal} if ended.signal else {"exit_code": ended.exit_code})
        if ended.peak_memory:
            metrics["peak_memory_bytes"] = ended.peak_memory
        log = log_of(seen) if self._keeps_log else ""
        severity = {FAILURE: "error", WARNING: "warning"}.get(judged.outcome, "info")
        values = {"outcome": judged.outcome, "severity": severity, "message": judged.message}
        event = self._event(FINISHED, {**values, "metrics": metrics, "log": log, "extra": dict(reading.extra)})
        self._began.wait(max(0.0, deadline - time.monotonic() - END_S / 2))
        if self._keep(event):
            self._deliver(deadline)
        elif EventSender(self._settings).send_without_spool(event, deadline):
            self.trouble = ""
            if self._record is not None:
                self._record.discard()
        else:
            self._note_trouble(f"the outcome ({event['outcome']}) could neither be stored nor sent")

    def take_over(self, seen: CapturedOutput) -> None:
        """Report, in the keeper, that the reporter was killed; unless the outcome is already stored."""
        if self._record is None or self._spool is None:
            return
        self._record.rescue({**self._record.event_if_cut_off, "occurred_at": _now(), "log": log_of(seen)})
        self._deliver(time.monotonic() + END_S)

    def report_no_start(self, cause: CannotStart, deadline: float) -> None:
        """Report that the command could not be started."""
        self._began.set()
        self.report_end(CommandEnd(cause.exit_code), CapturedOutput(err=str(cause)), 0.0, deadline)

    def _keep(self, event: dict[str, Any]) -> bool:
        try:
            if self._record is not None:
                self._record.settle(event)
            elif self._spool is not None:
                self._spool.put(event)
            else:
                return False
        except OSError as cause:
            self._note_trouble(f"nothing can be stored in {self._settings.spool}: {cause.strerror or cause}")
            return False
        return True

    def _deliver(self, deadline: float, tries: int = 2) -> None:
        if self._spool is None:
            return
        sender = EventSender(self._settings)
        try:
            for record in cut_off(self._spool):
                record.rescue()
            if not sender.deliver(self._spool, deadline, tries) or sender.trouble:
                self._note_trouble(sender.trouble)
            else:
                self.trouble = ""
        except OSError as cause:
            self._note_trouble(f"{self._settings.spool}: {cause.strerror or cause}")

    def _event(self, phase: str, values: dict[str, Any]) -> dict[str, Any]:
        extra = {"reporter": VERSION, "tool": self.tool.title, **values.pop("extra", {})}
        return ReportedEvent(
            key=f"{self._id}/{phase}", occurred_at=_now(), job=self._job, run=self._id, phase=phase,
            agent=self._settings.agent, activity=self.tool.activity, extra=extra, **values,
        ).as_json()  # fmt: skip

    def _note_trouble(self, words: str) -> None:
        with self._lock:
            self.trouble = words


def run(command: Sequence[str], settings: ReporterSettings, *, job: str, is_quiet: bool, keeps_log: bool) -> None:
    """Run a command and report it. Ends this process as the command ended."""
    reported = ReportedRun(command, settings, job, keeps_log=keeps_log)
    _run_safely(reported, reported.begin)
    child: CommandChild
    if sys.platform == "win32":
        from programs.reporter.windows_child import WindowsChild  # noqa: PLC0415

        child = WindowsChild(command)
    else:
        from programs.reporter.posix_child import PosixChild  # noqa: PLC0415

        child = PosixChild(command, reported.take_over)
    began = time.monotonic()
    try:
        child.start()
    except CannotStart as cause:
        sys.stderr.write(f"tocsin-report: {cause}\n")
        ended = CommandEnd(cause.exit_code)
        refused = cause
        _run_within(reported, END_S, lambda deadline: reported.report_no_start(refused, deadline))
    else:
        threading.Thread(target=_run_safely, args=(reported, reported.report_start), daemon=True).start()
        ended = child.wait()
        took_s, end = time.monotonic() - began, time.monotonic() + END_S
        seen = child.collect(_COLLECT_S)
        _run_within(
            reported, end - time.monotonic(), lambda deadline: reported.report_end(ended, seen, took_s, deadline)
        )
    child.release()
    if reported.trouble and not is_quiet:
        sys.stderr.write(f"tocsin-report: {one_line(reported.trouble)}\n")
        sys.stderr.flush()
    child.leave(ended)


def _run_within(reported: ReportedRun, seconds: float, work: Callable[[float], None]) -> None:
    """Run `work` for so long, then continue without it: a hanging disk or name server must not delay the backup's script."""
    deadline = time.monotonic() + seconds
    thread = threading.Thread(target=_run_safely, args=(reported, lambda: work(deadline)), daemon=True)
    thread.start()
    thread.join(seconds + 1)
    if thread.is_alive() and not reported.trouble:
        reported.trouble = "it could not be reported in time"


def _run_safely(reported: ReportedRun, work: Callable[[], None]) -> None:
    """Run `work`; whatever fails in it is only noted."""
    try:
        work()
    except Exception as cause:  # noqa: BLE001  (the boundary of the reporter: no defect of ours may reach the backup)
        reported.trouble = f"{type(cause).__name__}: {cause}"


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="microseconds")
