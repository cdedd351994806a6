"""Run one child, watch its windows and its deadlines, and end it: the parent's side. It never loads MAPI and never shows anything.

How the parent calls it, from a thread (it blocks until the child has ended):

    order = ChildOrder(mode="send", mime=mime, recipient=address, profile="Backup", client=choice.as_json(), use_spooler=False)
    verdict = watch(order, command=[sys.executable, pyz, "child"], deadlines=Deadlines(), on_phase=spool.note, stop=stopping)
    if verdict.outcome == "unknown":  # killed at or after `submitting`
        look = ChildOrder(mode="reconcile", search_key=..., entryid=..., profile=..., client=..., drain=0.0, abort=False)
        verdict = settle_doubt(verdict, watch(look, ...))  # programs.relay.outcomes

- `command` starts a process that ends in `sys.exit(programs.relay.child.main())`; the order goes to its stdin.
- `on_phase(SendPhase(name, entryid, search_key))` is called for each phase in order, in this thread. The child waits after `created`
  and after `submitting` until it has returned, so the spool is on the disk first. If it raises, the child is killed and the error
  comes out of `watch`; then nothing was submitted, unless it raised after `submitting`.
- `stop` (threading.Event) set before submit: the child cleans up and ends, outcome `transient`. Later: it has `deadlines.stopping`.
- `RelayVerdict(outcome, reason, evidence, cause)`: `outcome` is one of RelayOutcome; `reason` a sentence for people; `evidence` JSON
  (`proof`, `hresult`, `windows`, `phase`, `search_key`, `phases` with seconds since the start ...); `cause` is why a child with
  outcome `unknown` was killed.
- After a restart of the relay: a spooled message whose last phase is `created` or later is reconciled (then
  `settle_doubt(after_restart(), looked)`), an earlier one is sent again.
- `unknown` with evidence `looked: false`: look again later. `looked: true`: in neither folder; settle as possibly sent.
- Modes: `send`; `reconcile` (looks by search key, waits `drain` seconds for a submitted one, then AbortSubmit if `abort`, else
  `queued`); `doctor` (call programs.relay.doctor.examine, which runs this child itself).
- One child at a time. If the calling process dies, the job object ends the child with it.
"""

from __future__ import annotations

import contextlib
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from programs.relay.child_process import ChildHost, ConfinedChild, ShownWindow, child_host
from programs.relay.conversation import (
    GO,
    STOP,
    SUBMIT_BEGUN,
    WAITED,
    BadLine,
    ChildOrder,
    Findings,
    SendPhase,
    read_line,
)
from programs.relay.outcomes import RelayOutcome, RelayVerdict
from programs.relay.pipes import ChildPipes

LOOK_EVERY = 0.05  # seconds between two looks at the child's windows
_LEAVE_TIME = 5.0  # seconds for a child to end after its last line
_MOST_LINES = 1000


@dataclass(frozen=True)
class Deadlines:
    """Time limits in seconds. The time to leave the Outbox is in the child's order; the child checks that itself."""

    logon: float = 60.0  # from the start to `opened`
    submit: float = 60.0  # for each phase from `opened` to `submitted`
    grace: float = 15.0  # beyond the order's `drain`, for AbortSubmit and the last look
    stopping: float = 10.0  # for a child that has begun to submit when the relay must stop


def watch(
    order: ChildOrder,
    *,
    command: Sequence[str],
    deadlines: Deadlines,
    on_phase: Callable[[SendPhase], None],
    stop: threading.Event | None = None,
    host: ChildHost | None = None,
) -> RelayVerdict:
    """Run one child to its end and return how it ended. Raises what `on_phase` raises, and OSError if no child can be started."""
    confined = (host or child_host()).start(command)
    pipes = ChildPipes(confined.process)
    try:
        return _ChildWatch(order, deadlines, on_phase, stop or threading.Event(), confined, pipes).run()
    finally:
        confined.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            confined.process.wait(timeout=10)
        confined.close()
        pipes.close()


class _ChildWatch:
    def __init__(
        self,
        order: ChildOrder,
        deadlines: Deadlines,
        on_phase: Callable[[SendPhase], None],
        stop: threading.Event,
        confined: ConfinedChild,
        pipes: ChildPipes,
    ) -> None:
        self._order, self._deadlines, self._on_phase, self._stop = order, deadlines, on_phase, stop
        self._confined, self._pipes = confined, pipes
        self._began = self._since = time.monotonic()
        self._looked_at = 0.0
        self._phase = SendPhase("")
        self._keys = SendPhase("")  # the phase `created`, which has the keys
        self._times: dict[str, float] = {}
        self._found: dict[str, Any] = {}
        self._stopping = False
        self._lines = 0

    def run(self) -> RelayVerdict:
        self._pipes.send(self._order.as_line())
        while True:
            line = self._pipes.receive(LOOK_EVERY)
            verdict = self._read(line) if line is not None else None
            verdict = verdict or self._check_windows() or self._check_deadline() or self._check_stop()
            if verdict is not None:
                known: dict[str, Any] = {"phase": self._phase.name, "phases": self._times}
                if self._keys.search_key:
                    known.update(search_key=self._keys.search_key, entryid=self._keys.entryid)
                if self._found:
                    known["found"] = self._found
                return verdict.with_evidence(**known, seconds=round(time.monotonic() - self._began, 3))

    def _read(self, line: bytes) -> RelayVerdict | None:
        """Process one line of the child; b"" means that it has closed its end."""
        if not line:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._confined.process.wait(timeout=_LEAVE_TIME)
            code = self._confined.process.poll()
            how = "closed its pipe" if code is None else f"ended with code {code}"
            return self._verdict_of_killed(
                RelayOutcome.TRANSIENT, f"the child {how} without a verdict", stderr=self._pipes.errors[-1000:]
            )
        self._lines += 1
        if self._lines > _MOST_LINES:
            return self._verdict_of_killed(RelayOutcome.TRANSIENT, "the child sent more lines than any child needs")
        try:
            line_read = read_line(line)
        except BadLine as error:
            return self._verdict_of_killed(RelayOutcome.TRANSIENT, f"the child sent a wrong line: {error}")
        if isinstance(line_read, RelayVerdict):
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._confined.process.wait(timeout=_LEAVE_TIME)
            return line_read
        if isinstance(line_read, Findings):
            self._found.update(line_read.findings)
            return None
        self._phase = line_read
        self._keys = line_read if line_read.name == "created" else self._keys
        self._times[line_read.name] = round(time.monotonic() - self._began, 3)
        self._on_phase(line_read)  # before the child may continue: what happened must be in the spool
        self._since = time.monotonic()
        if line_read.name in WAITED:
            self._stopping = self._stopping or self._stop.is_set()
            self._pipes.send(STOP if self._stopping else GO)
        return None

    def _check_windows(self) -> RelayVerdict | None:
        if time.monotonic() - self._looked_at < LOOK_EVERY:
            return None
        self._looked_at = time.monotonic()
        windows = self._confined.windows()
        if not windows:
            return None
        self._confined.kill()
        shown = [asdict(ShownWindow(one.kind[:100], one.title[:200])) for one in windows[:10]]
        title = shown[0]["title"] or "no title"
        return self._verdict_of_killed(
            RelayOutcome.NEEDS_UI, f"the mail client showed a window: {title} ({shown[0]['kind']})", windows=shown
        )

    def _check_deadline(self) -> RelayVerdict | None:
        if self._stopping:
            limit = self._deadlines.stopping
        elif self._phase.name in ("", "logon"):
            limit = self._deadlines.logon
        else:
            drains = self._order.mode == "reconcile" or self._phase.name in ("submitted", "left_outbox")
            limit = self._deadlines.submit + (self._order.drain + self._deadlines.grace if drains else 0.0)
        if time.monotonic() - self._since < limit:
            return None
        self._confined.kill()
        place = f"after {self._phase.name}" if self._phase.name else "at its start"
        return self._verdict_of_killed(
            RelayOutcome.TIMEOUT, f"the child made no progress {place} within {limit:g} s and was killed"
        )

    def _check_stop(self) -> RelayVerdict | None:
        """End the child when the relay stops: one that has begun to submit gets some time, any other none."""
        if not self._stop.is_set() or self._stopping:
            return None
        if self._phase.name in SUBMIT_BEGUN:
            self._stopping, self._since = True, time.monotonic()
            return None
        self._confined.kill()
        return self._verdict_of_killed(RelayOutcome.TRANSIENT, "the relay was stopped")

    def _verdict_of_killed(self, outcome: RelayOutcome, reason: str, **evidence: Any) -> RelayVerdict:  # noqa: ANN401  (evidence is JSON)
        """Judge a child that was ended: in doubt from `submitting` on, and sent once the message had left the Outbox."""
        if self._phase.name == "left_outbox":
            return RelayVerdict(
                RelayOutcome.SENT,
                f"the message had left the Outbox; then {reason}",
                {"proof": "left the Outbox", **evidence},
            )
        if self._phase.name in SUBMIT_BEGUN:
            return RelayVerdict(RelayOutcome.UNKNOWN, reason, {"looked": False, **evidence}, cause=outcome)
        return RelayVerdict(outcome, reason, evidence)
