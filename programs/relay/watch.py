"""Runs one child, watches its windows and its clock, and ends it; the parent's side. Never loads MAPI and never shows anything.

What the parent calls, from a thread (it blocks until the child has ended):

    order = Order(mode="send", mime_path=str(path), profile="Backup", client=choice.as_json(), use_spooler=False)
    verdict = watch(order, command=[sys.executable, pyz, "child"], deadlines=Deadlines(), on_phase=spool.note, stop=stopping)
    if verdict.outcome == "unknown":  # killed at or after `submitting`
        look = Order(mode="reconcile", search_key=..., entryid=..., profile=..., client=..., drain=0.0, abort=False)
        verdict = settle_doubt(verdict, watch(look, ...))  # programs.relay.doubt

- `command` starts a process that ends in `sys.exit(programs.relay.child.main())`; the order goes to its stdin.
- `on_phase(Phase(name, entryid, search_key))` is called for each phase in order, in this thread. The child waits after `created`
  and after `submitting` until it has returned, so the spool is on the disk first. If it raises, the child is killed and the error
  comes out of `watch`; then nothing was submitted, unless it raised after `submitting`.
- `stop` (threading.Event) set before submit: the child tidies up and ends, outcome `transient`. Later: it has `deadlines.stopping`.
- `Verdict(outcome, reason, evidence, cause)`: `outcome` is one of Outcome; `reason` a sentence for people; `evidence` JSON (`proof`,
  `hresult`, `windows`, `phase`, `search_key`, `phases` with seconds since the start ...); `cause` is what an `unknown` was killed for.
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

from programs.relay.confine import Confined, Host, Window
from programs.relay.conversation import GO, STOP, SUBMIT_BEGUN, WAITED, BadLine, Found, Order, Phase, read_line
from programs.relay.outcomes import Outcome, Verdict
from programs.relay.pipes import Pipes
from programs.relay.this_host import this_host

LOOK_EVERY = 0.05  # seconds between two looks at the child's windows
_LEAVE_TIME = 5.0  # seconds for a child that has said its last line
_MOST_LINES = 1000


@dataclass(frozen=True)
class Deadlines:
    """Seconds. How long a message may take to leave the Outbox stands in its order; the child minds that itself."""

    logon: float = 60.0  # from the start to `opened`
    submit: float = 60.0  # for each phase from `opened` to `submitted`
    grace: float = 15.0  # beyond the order's `drain`, for AbortSubmit and the last look
    stopping: float = 10.0  # for a child that has begun to submit when the relay is told to stop


def watch(
    order: Order,
    *,
    command: Sequence[str],
    deadlines: Deadlines,
    on_phase: Callable[[Phase], None],
    stop: threading.Event | None = None,
    host: Host | None = None,
) -> Verdict:
    """Run one child to its end and say how it ended. Raises what `on_phase` raises, and OSError if no child can be started."""
    confined = (host or this_host()).start(command)
    pipes = Pipes(confined.process)
    try:
        return _Watch(order, deadlines, on_phase, stop or threading.Event(), confined, pipes).run()
    finally:
        confined.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            confined.process.wait(timeout=10)
        confined.close()
        pipes.close()


class _Watch:
    def __init__(
        self,
        order: Order,
        deadlines: Deadlines,
        on_phase: Callable[[Phase], None],
        stop: threading.Event,
        confined: Confined,
        pipes: Pipes,
    ) -> None:
        self._order, self._deadlines, self._on_phase, self._stop = order, deadlines, on_phase, stop
        self._confined, self._pipes = confined, pipes
        self._began = self._since = time.monotonic()
        self._looked_at = 0.0
        self._phase = Phase("")
        self._keys = Phase("")  # `created`, which has the keys
        self._times: dict[str, float] = {}
        self._found: dict[str, Any] = {}
        self._stopping = False
        self._lines = 0

    def run(self) -> Verdict:
        self._pipes.say(self._order.as_line())
        while True:
            line = self._pipes.hear(LOOK_EVERY)
            verdict = self._heard(line) if line is not None else None
            verdict = verdict or self._seen() or self._late() or self._stopped()
            if verdict is not None:
                return self._with_what_is_known(verdict)

    def _heard(self, line: bytes) -> Verdict | None:
        """Take one line of the child; b"" when it has closed its end."""
        if not line:
            return self._gone()
        self._lines += 1
        if self._lines > _MOST_LINES:
            return self._ended(Outcome.TRANSIENT, "the child said more than it could have to say")
        try:
            said = read_line(line)
        except BadLine as error:
            return self._ended(Outcome.TRANSIENT, f"the child broke the agreement: {error}")
        if isinstance(said, Verdict):
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._confined.process.wait(timeout=_LEAVE_TIME)
            return said
        if isinstance(said, Found):
            self._found.update(said.findings)
            return None
        self._take(said)
        return None

    def _take(self, phase: Phase) -> None:
        """Write the phase down before the child is let past it: what the spool does not know must not have happened."""
        self._phase = phase
        self._keys = phase if phase.name == "created" else self._keys
        self._times[phase.name] = round(time.monotonic() - self._began, 3)
        self._on_phase(phase)
        self._since = time.monotonic()
        if phase.name in WAITED:
            self._stopping = self._stopping or self._stop.is_set()
            self._pipes.say(STOP if self._stopping else GO)

    def _seen(self) -> Verdict | None:
        if time.monotonic() - self._looked_at < LOOK_EVERY:
            return None
        self._looked_at = time.monotonic()
        windows = self._confined.windows()
        if not windows:
            return None
        self._confined.kill()
        shown = [asdict(Window(one.kind[:100], one.title[:200])) for one in windows[:10]]
        title = shown[0]["title"] or "no title"
        return self._ended(
            Outcome.NEEDS_UI, f"the mail client showed a window: {title} ({shown[0]['kind']})", windows=shown
        )

    def _late(self) -> Verdict | None:
        limit = self._limit()
        if time.monotonic() - self._since < limit:
            return None
        self._confined.kill()
        place = f"after {self._phase.name}" if self._phase.name else "at its start"
        return self._ended(Outcome.TIMEOUT, f"the child did not go on {place} within {limit:g} s and was killed")

    def _limit(self) -> float:
        if self._stopping:
            return self._deadlines.stopping
        if self._phase.name in ("", "logon"):
            return self._deadlines.logon
        drains = self._order.mode == "reconcile" or self._phase.name in ("submitted", "left_outbox")
        return self._deadlines.submit + (self._order.drain + self._deadlines.grace if drains else 0.0)

    def _stopped(self) -> Verdict | None:
        """Mind the relay's end: a child that has begun to submit gets some time, any other none."""
        if not self._stop.is_set() or self._stopping:
            return None
        if self._phase.name in SUBMIT_BEGUN:
            self._stopping, self._since = True, time.monotonic()
            return None
        self._confined.kill()
        return self._ended(Outcome.TRANSIENT, "the relay was told to stop")

    def _gone(self) -> Verdict:
        """Judge a child that ended without a verdict."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._confined.process.wait(timeout=_LEAVE_TIME)
        code = self._confined.process.poll()
        how = "closed its pipe" if code is None else f"ended with code {code}"
        return self._ended(Outcome.TRANSIENT, f"the child {how} and said nothing", stderr=self._pipes.complaint[-1000:])

    def _ended(self, outcome: Outcome, reason: str, **evidence: Any) -> Verdict:  # noqa: ANN401  (evidence is JSON)
        """Judge a child that was ended: it is in doubt from `submitting` on, and sent once it had left the Outbox."""
        if self._phase.name == "left_outbox":
            return Verdict(
                Outcome.SENT, f"it had left the Outbox; then {reason}", {"proof": "left the Outbox", **evidence}
            )
        if self._phase.name in SUBMIT_BEGUN:
            return Verdict(Outcome.UNKNOWN, reason, {"looked": False, **evidence}, cause=outcome)
        return Verdict(outcome, reason, evidence)

    def _with_what_is_known(self, verdict: Verdict) -> Verdict:
        known: dict[str, Any] = {"phase": self._phase.name, "phases": self._times}
        if self._keys.search_key:
            known.update(search_key=self._keys.search_key, entryid=self._keys.entryid)
        if self._found:
            known["found"] = self._found
        return verdict.with_evidence(**known, seconds=round(time.monotonic() - self._began, 3))
