"""Run one child, watch its windows and its deadlines, and end it: the parent's side. It never loads MAPI and never shows anything.

A child in mode `send` sends one message; `reconcile` looks by search key, waits for a submitted message to leave and else takes it
back; `doctor` examines the profile. One child at a time. If this process dies, the job object ends the child with it.
"""

from __future__ import annotations

import contextlib
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from programs.relay.child_process import ConfinedChild, ShownWindow, StartChild, start_child
from programs.relay.conversation import GO, STOP, SUBMIT_BEGUN, WAITED, BadLine, ChildOrder, SendPhase, read_line
from programs.relay.outcomes import RelayOutcome, RelayVerdict
from programs.relay.pipes import ChildPipes

LOOK_EVERY = 0.05  # seconds between two looks at the child's windows
_LEAVE_TIME = 5.0  # seconds for a child to end after its last line
_MOST_LINES = 1000
OnPhase = Callable[[SendPhase], None]
_NONE_YET = SendPhase("")


@dataclass(frozen=True)
class Deadlines:
    """Time limits in seconds. The time to leave the Outbox is in the child's order; the child checks that itself."""

    logon: float = 60.0  # from the start to `opened`
    submit: float = 60.0  # for each phase from `opened` to `submitted`
    grace: float = 15.0  # beyond the order's `drain`, for AbortSubmit and the last look
    stopping: float = 10.0  # for a child that has begun to submit when the relay must stop


def watch(
    order: ChildOrder,
    command: Sequence[str],
    deadlines: Deadlines,
    on_phase: OnPhase,
    stop: threading.Event | None = None,
    start: StartChild = start_child,
) -> RelayVerdict:
    """Run one child to its end and return how it ended. Raises what `on_phase` raises, and OSError if no child can be started.

    `on_phase` is called for each phase, in this thread; the child waits after `created` and `submitting` until it has returned, so
    that the spool is on the disk first. `stop` set before the submission: the child is ended, outcome `transient`; later it has
    `deadlines.stopping`.
    """
    confined = start(command)
    pipes = ChildPipes(confined.process)
    try:
        return _ChildWatch(order, deadlines, on_phase, stop or threading.Event(), confined, pipes).run()
    finally:
        confined.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            confined.process.wait(timeout=10)
        confined.close()
        pipes.close()


@dataclass
class _ChildWatch:
    order: ChildOrder
    deadlines: Deadlines
    on_phase: OnPhase
    stop: threading.Event
    confined: ConfinedChild
    pipes: ChildPipes
    began: float = field(default_factory=time.monotonic)
    since: float = field(default_factory=time.monotonic)  # when the present phase began
    looked_at: float = 0.0
    last: SendPhase = _NONE_YET
    keys: SendPhase = _NONE_YET  # the phase `created`, which has the keys
    times: dict[str, float] = field(default_factory=dict)
    found: dict[str, Any] = field(default_factory=dict)
    stopping: bool = False
    lines: int = 0

    def run(self) -> RelayVerdict:
        self.pipes.send(self.order.as_line())
        while True:
            line = self.pipes.receive(LOOK_EVERY)
            verdict = self._read(line) if line is not None else None
            verdict = verdict or self._check_windows() or self._check_deadline() or self._check_stop()
            if verdict is not None:
                known: dict[str, Any] = {"phase": self.last.name, "phases": self.times}
                if self.keys.search_key:
                    known.update(search_key=self.keys.search_key, entryid=self.keys.entryid)
                if self.found:
                    known["found"] = self.found
                return verdict.with_evidence(**known, seconds=round(time.monotonic() - self.began, 3))

    def _read(self, line: bytes) -> RelayVerdict | None:
        """Process one line of the child; b"" means that it has closed its end."""
        if not line:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.confined.process.wait(timeout=_LEAVE_TIME)
            code = self.confined.process.poll()
            how = "closed its pipe" if code is None else f"ended with code {code}"
            reason, stderr = f"the child {how} without a verdict", self.pipes.errors[-1000:]
            return self._verdict_of_killed(RelayOutcome.TRANSIENT, reason, stderr=stderr)
        self.lines += 1
        if self.lines > _MOST_LINES:
            return self._verdict_of_killed(RelayOutcome.TRANSIENT, "the child sent more lines than any child needs")
        try:
            line_read = read_line(line)
        except BadLine as error:
            return self._verdict_of_killed(RelayOutcome.TRANSIENT, f"the child sent a wrong line: {error}")
        if isinstance(line_read, RelayVerdict):
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.confined.process.wait(timeout=_LEAVE_TIME)
            return line_read
        if not isinstance(line_read, SendPhase):
            self.found.update(line_read)
            return None
        self.last = line_read
        self.keys = line_read if line_read.name == "created" else self.keys
        self.times[line_read.name] = round(time.monotonic() - self.began, 3)
        self.on_phase(line_read)  # before the child may continue: what happened must be in the spool
        self.since = time.monotonic()
        if line_read.name in WAITED:
            self.stopping = self.stopping or self.stop.is_set()
            self.pipes.send(STOP if self.stopping else GO)
        return None

    def _check_windows(self) -> RelayVerdict | None:
        if time.monotonic() - self.looked_at < LOOK_EVERY:
            return None
        self.looked_at = time.monotonic()
        windows = self.confined.windows()
        if not windows:
            return None
        self.confined.kill()
        shown = [asdict(ShownWindow(one.kind[:100], one.title[:200])) for one in windows[:10]]
        reason = f"the mail client showed a window: {shown[0]['title'] or 'no title'} ({shown[0]['kind']})"
        return self._verdict_of_killed(RelayOutcome.NEEDS_UI, reason, windows=shown)

    def _check_deadline(self) -> RelayVerdict | None:
        if self.stopping:
            limit = self.deadlines.stopping
        elif self.last.name in ("", "logon"):
            limit = self.deadlines.logon
        else:
            drains = self.order.mode == "reconcile" or self.last.name in ("submitted", "left_outbox")
            limit = self.deadlines.submit + (self.order.drain + self.deadlines.grace if drains else 0.0)
        if time.monotonic() - self.since < limit:
            return None
        self.confined.kill()
        place = f"after {self.last.name}" if self.last.name else "at its start"
        reason = f"the child made no progress {place} within {limit:g} s and was killed"
        return self._verdict_of_killed(RelayOutcome.TIMEOUT, reason)

    def _check_stop(self) -> RelayVerdict | None:
        """End the child when the relay stops: one that has begun to submit gets some time, any other none."""
        if not self.stop.is_set() or self.stopping:
            return None
        if self.last.name in SUBMIT_BEGUN:
            self.stopping, self.since = True, time.monotonic()
            return None
        self.confined.kill()
        return self._verdict_of_killed(RelayOutcome.TRANSIENT, "the relay was stopped")

    def _verdict_of_killed(self, outcome: RelayOutcome, reason: str, **evidence: Any) -> RelayVerdict:  # noqa: ANN401  (evidence is JSON)
        """Judge a child that was ended: in doubt from `submitting` on, and sent once the message had left the Outbox."""
        if self.last.name == "left_outbox":
            evidence = {"proof": "left the Outbox", **evidence}
            return RelayVerdict(RelayOutcome.SENT, f"the message had left the Outbox; then {reason}", evidence)
        if self.last.name in SUBMIT_BEGUN:
            return RelayVerdict(RelayOutcome.UNKNOWN, reason, {"looked": False, **evidence}, cause=outcome)
        return RelayVerdict(outcome, reason, evidence)
