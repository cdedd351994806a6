"""Sends what lies in the spool, one message at a time: each by a child, each with a verdict in the spool before anything else is done.

It asks the doctor first, and sends nothing while the doctor says no. It must not speak to the service but for the word to begin.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from functools import partial
from typing import Any, Protocol

from programs.protocol.relay import LeaseClaim
from programs.relay.conversation import SUBMIT_BEGUN, Order
from programs.relay.doctor import Report, Surroundings, examine
from programs.relay.doubt import after_restart, settle_doubt
from programs.relay.mail_clients import Choice, NoChoice, choose
from programs.relay.outcomes import Outcome, Verdict
from programs.relay.registry import Hive, read_settings
from programs.relay.set_aside import kept_beside
from programs.relay.spool import Spool, Spooled
from programs.relay.surroundings import look_around
from programs.relay.watch import Deadlines, watch

DOCTOR_EVERY_S = 86_400.0
DOCTOR_AGAIN_S = 300.0  # while it says no
LOOK_AGAIN_S = 60.0  # for a message in doubt, and for a host that something fails on
_PAUSING = (
    Outcome.NEEDS_UI,
    Outcome.PROFILE_MISSING,
    Outcome.LOGON_FAILED,
    Outcome.INCOMPATIBLE_CLIENT,
    Outcome.NOT_TIGHT,
    Outcome.BITNESS,
)


class Begins(Protocol):
    """Asks the service whether an attempt may begin. Raises Away."""

    def __call__(self, claim: LeaseClaim) -> bool:
        """Ask."""
        ...


@dataclass
class Means:
    """What sending needs of this host. `run` runs one child; a test plays it by another command."""

    hive: Hive
    profile: str
    command: Sequence[str]
    deadlines: Deadlines
    drain: float
    service_account: str = ""
    look: Callable[..., Surroundings] = look_around


@dataclass
class Sender:
    """The one that sends. `paused_why` says why it does not, and is empty while it does."""

    spool: Spool
    means: Means
    stop: threading.Event
    report: Report | None = None
    report_at: str = ""
    paused_why: str = ""
    answers: str = ""
    beginning: threading.Lock = field(
        default_factory=threading.Lock
    )  # held while the spool does not know yet that one began
    _asked: str = ""
    _looked_at: float = field(default=-1e9)
    _has_just_looked: bool = False

    def ask_doctor(self, asked: str) -> None:
        """Have the doctor look before the next message; `asked` names the wish."""
        if asked and asked not in (self._asked, self.answers):
            self._asked = asked

    def worry(self) -> None:
        """Have the doctor look soon: something failed that concerns more than one message."""
        if time.monotonic() - self._looked_at > LOOK_AGAIN_S:
            self._looked_at = -1e9

    def step(self, begin: Begins, *, may_send: bool = True) -> bool:
        """Do one thing; False if there was nothing to do. `begin` asks the service whether an attempt may be made."""
        if self._is_doctor_due():
            self._examine()
            return True
        doubtful = self.spool.next_in_doubt(LOOK_AGAIN_S)
        waiting = self.spool.next_to_send() if may_send and not self.paused_why else None
        if doubtful is not None and (waiting is None or not self._has_just_looked):
            self._has_just_looked = True  # by turns: looks that come to nothing, each slowly, must not hold up an alert
            self._look_for(doubtful)
        elif waiting is not None:
            self._has_just_looked = False
            self._send(waiting, begin)
        return doubtful is not None or waiting is not None

    def _is_doctor_due(self) -> bool:
        every = DOCTOR_AGAIN_S if self.paused_why else DOCTOR_EVERY_S
        return bool(self._asked) or time.monotonic() - self._looked_at > every

    def _examine(self) -> None:
        asked, self._asked = self._asked, ""
        around = self.means.look(
            service_account=self.means.service_account,
            test_message=self.spool.recall("last sent"),
            spool_trouble=self.spool.trouble(),
            spool_kept=kept_beside(self.spool),
        )
        self.report = examine(self.means.hive, self.means.profile, around, self._child)
        self.report_at = datetime.now(timezone.utc).isoformat(timespec="seconds")
        self._looked_at = time.monotonic()
        self.answers = asked or self.answers
        failing = [f"{line.point}: {line.found}" for line in self.report.lines if line.state == "fail"]
        self.paused_why = "; ".join(failing)[:1000]

    def _send(self, one: Spooled, begin: Begins) -> None:
        """Send one message. Nothing is done before the service wrote that the attempt begins."""
        with self.beginning:
            may_begin = begin(one.claim)
            self.spool.start(one.id)
        if not may_begin:
            # Our word to begin may have come through without its answer: then this receipt ends the attempt.
            self.spool.end(one.id, Verdict(Outcome.TRANSIENT, "the service did not let it begin; nothing was sent"))
            return
        order = self._order("send", mime=one.mime, recipients=(one.recipient,))
        verdict = order if isinstance(order, Verdict) else self._child(order, on_phase=partial(self.spool.note, one.id))
        self._settle(one.id, verdict)

    def _look_for(self, one: Spooled) -> None:
        """Learn what became of a message that may have left."""
        doubt = one.verdict or after_restart()
        may_lie_there = one.phase in SUBMIT_BEGUN or bool(one.search_key)
        if one.verdict is None and not may_lie_there:
            return self._settle(one.id, Verdict(Outcome.TRANSIENT, "the relay ended before it submitted this"))
        if not one.search_key:
            reason = "this client gives no key to look for a message by"
            doubtful = Verdict(
                Outcome.UNKNOWN, f"{doubt.reason}; {reason}", {**doubt.evidence, "looked": True}, doubt.cause
            )
            return self._settle(one.id, doubtful)
        order = self._order("reconcile", search_key=one.search_key, entryid=one.entryid)
        looked = order if isinstance(order, Verdict) else self._child(order)
        return self._settle(one.id, settle_doubt(doubt, looked), looked=True)

    def _settle(self, message_id: str, verdict: Verdict, *, looked: bool = False) -> None:
        if verdict.cause is not None:
            cause = verdict.cause
            verdict = verdict.with_evidence(cause=str(cause.value if isinstance(cause, Outcome) else cause))
        self.spool.end(message_id, verdict, looked=looked)
        if verdict.outcome == Outcome.SENT:
            self.spool.remember("last sent", datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC"))
        if verdict.outcome in _PAUSING or verdict.cause in _PAUSING:
            self.paused_why = f"{verdict.outcome}: {verdict.reason}"[:1000]
            self._looked_at = -1e9  # the doctor looks at once, and may find that all is well

    def _order(self, mode: str, **more: Any) -> Order | Verdict:  # noqa: ANN401  (an order's own fields)
        """Give the order for a child, or the verdict where no mail client can be used."""
        settings = read_settings(self.means.hive)
        choice = choose(settings, self.means.hive)
        if isinstance(choice, NoChoice):
            return Verdict(choice.outcome, choice.reason)
        return Order(
            mode=mode,
            profile=self.means.profile,
            client=choice.as_json(),
            use_spooler=settings.use_spooler,
            drain=self.means.drain,
            **more,
        )

    def _child(self, order: Order, on_phase: Callable[[Any], None] = lambda _phase: None) -> Verdict:
        means = self.means
        return watch(order, command=means.command, deadlines=means.deadlines, on_phase=on_phase, stop=self.stop)

    def choice(self) -> tuple[str, str]:
        """Name the mail client that is used, and why that one."""
        found = choose(read_settings(self.means.hive), self.means.hive)
        return (found.name, found.reason) if isinstance(found, Choice) else ("", found.reason)
