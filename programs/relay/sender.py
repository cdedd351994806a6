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
from programs.relay.conversation import SUBMIT_BEGUN, ChildOrder
from programs.relay.doctor import DoctorReport, examine
from programs.relay.host_facts import HostFacts, read_host_facts
from programs.relay.mail_clients import ClientChoice, NoUsableClient, choose_client
from programs.relay.outcomes import RelayOutcome, RelayVerdict, after_restart, settle_doubt
from programs.relay.registry import RegistryHive, read_settings
from programs.relay.spool import RelaySpool, SpooledMessage, damaged_copy
from programs.relay.watch import Deadlines, watch

DOCTOR_EVERY_S = 86_400.0
DOCTOR_AGAIN_S = 300.0  # while it says no
LOOK_AGAIN_S = 60.0  # for a message in doubt, and for a host that something fails on
_PAUSING = (
    RelayOutcome.NEEDS_UI,
    RelayOutcome.PROFILE_MISSING,
    RelayOutcome.LOGON_FAILED,
    RelayOutcome.INCOMPATIBLE_CLIENT,
    RelayOutcome.NOT_TIGHT,
    RelayOutcome.BITNESS,
)


class Begins(Protocol):
    """Asks the service whether an attempt may begin. Raises Away."""

    def __call__(self, claim: LeaseClaim) -> bool:
        """Ask."""
        ...


@dataclass
class SendingSetup:
    """What sending needs of this host. `run` runs one child; a test plays it by another command."""

    hive: RegistryHive
    profile: str
    command: Sequence[str]
    deadlines: Deadlines
    drain: float
    service_account: str = ""
    look: Callable[..., HostFacts] = read_host_facts


@dataclass
class SpoolSender:
    """The one that sends. `paused_why` says why it does not, and is empty while it does."""

    spool: RelaySpool
    means: SendingSetup
    stop: threading.Event
    report: DoctorReport | None = None
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
            spool_kept=damaged_copy(self.spool),
        )
        self.report = examine(self.means.hive, self.means.profile, around, self._child)
        self.report_at = datetime.now(timezone.utc).isoformat(timespec="seconds")
        self._looked_at = time.monotonic()
        self.answers = asked or self.answers
        failing = [f"{line.name}: {line.found}" for line in self.report.lines if line.state == "fail"]
        self.paused_why = "; ".join(failing)[:1000]

    def _send(self, one: SpooledMessage, begin: Begins) -> None:
        """Send one message. Nothing is done before the service wrote that the attempt begins."""
        with self.beginning:
            may_begin = begin(one.claim)
            self.spool.start(one.id)
        if not may_begin:
            # Our word to begin may have come through without its answer: then this receipt ends the attempt.
            self.spool.end(
                one.id, RelayVerdict(RelayOutcome.TRANSIENT, "the service did not let it begin; nothing was sent")
            )
            return
        order = self._order("send", mime=one.mime, recipients=(one.recipient,))
        verdict = (
            order if isinstance(order, RelayVerdict) else self._child(order, on_phase=partial(self.spool.note, one.id))
        )
        self._settle(one.id, verdict)

    def _look_for(self, one: SpooledMessage) -> None:
        """Learn what became of a message that may have left."""
        doubt = one.verdict or after_restart()
        may_lie_there = one.phase in SUBMIT_BEGUN or bool(one.search_key)
        if one.verdict is None and not may_lie_there:
            return self._settle(
                one.id, RelayVerdict(RelayOutcome.TRANSIENT, "the relay ended before it submitted this")
            )
        if not one.search_key:
            reason = "this client gives no key to look for a message by"
            doubtful = RelayVerdict(
                RelayOutcome.UNKNOWN, f"{doubt.reason}; {reason}", {**doubt.evidence, "looked": True}, doubt.cause
            )
            return self._settle(one.id, doubtful)
        order = self._order("reconcile", search_key=one.search_key, entryid=one.entryid)
        looked = order if isinstance(order, RelayVerdict) else self._child(order)
        return self._settle(one.id, settle_doubt(doubt, looked), looked=True)

    def _settle(self, message_id: str, verdict: RelayVerdict, *, looked: bool = False) -> None:
        if verdict.cause is not None:
            cause = verdict.cause
            verdict = verdict.with_evidence(cause=str(cause.value if isinstance(cause, RelayOutcome) else cause))
        self.spool.end(message_id, verdict, looked=looked)
        if verdict.outcome == RelayOutcome.SENT:
            self.spool.remember("last sent", datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC"))
        if verdict.outcome in _PAUSING or verdict.cause in _PAUSING:
            self.paused_why = f"{verdict.outcome}: {verdict.reason}"[:1000]
            self._looked_at = -1e9  # the doctor looks at once, and may find that all is well

    def _order(self, mode: str, **more: Any) -> ChildOrder | RelayVerdict:  # noqa: ANN401  (an order's own fields)
        """Give the order for a child, or the verdict where no mail client can be used."""
        settings = read_settings(self.means.hive)
        choice = choose_client(settings, self.means.hive)
        if isinstance(choice, NoUsableClient):
            return RelayVerdict(choice.outcome, choice.reason)
        return ChildOrder(
            mode=mode,
            profile=self.means.profile,
            client=choice.as_json(),
            use_spooler=settings.use_spooler,
            drain=self.means.drain,
            **more,
        )

    def _child(self, order: ChildOrder, on_phase: Callable[[Any], None] = lambda _phase: None) -> RelayVerdict:
        means = self.means
        return watch(order, command=means.command, deadlines=means.deadlines, on_phase=on_phase, stop=self.stop)

    def choice(self) -> tuple[str, str]:
        """Name the mail client that is used, and why that one."""
        found = choose_client(read_settings(self.means.hive), self.means.hive)
        return (found.name, found.reason) if isinstance(found, ClientChoice) else ("", found.reason)
