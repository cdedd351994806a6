"""Send the messages in the spool, one at a time: each by a child, each with its verdict in the spool before the next step.

It asks the doctor first, and sends nothing while the doctor finds a failure. It calls the service only to begin an attempt.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from functools import partial
from typing import Any

from programs.protocol.relay import PAUSING, LeaseClaim
from programs.relay.child_process import StartChild, start_child
from programs.relay.conversation import SUBMIT_BEGUN, ChildOrder
from programs.relay.doctor import DoctorReport, examine, look_again
from programs.relay.host_facts import HostFacts, read_host_facts
from programs.relay.mail_clients import ClientChoice, NoUsableClient, choose_client
from programs.relay.outcomes import RelayOutcome, RelayVerdict, after_restart, settle_doubt
from programs.relay.registry import RegistryHive, read_settings
from programs.relay.spool import RelaySpool, SpooledMessage, damaged_copy
from programs.relay.watch import Deadlines, OnPhase, watch

DOCTOR_EVERY_S = 86_400.0
# While it finds a failure. A failed logon is tried this often, too, so the waits grow: an account must not be locked by them.
DOCTOR_AGAIN_S = (60.0, 120.0, 300.0, 600.0)
LOOK_AGAIN_S, LOOK_FOR_S = 60.0, 5.0  # for a message in doubt
MayBegin = Callable[[LeaseClaim], bool]  # asks the service whether an attempt may begin; raises NoAnswer


@dataclass
class SendingSetup:
    """What sending needs of this host. `command` starts one child; a test replaces it by another command."""

    hive: RegistryHive
    profile: str
    command: Sequence[str]
    deadlines: Deadlines
    drain: float
    service_account: str = ""
    look: Callable[..., HostFacts] = read_host_facts
    start: StartChild = start_child


def examine_host(setup: SendingSetup, spool: RelaySpool, stop: threading.Event | None = None) -> DoctorReport:
    """Examine this host, the profile and the spool."""
    facts = setup.look(
        service_account=setup.service_account,
        test_message=spool.recall("last sent"),
        spool_trouble=spool.trouble(),
        spool_kept=damaged_copy(spool),
    )

    def run(order: ChildOrder) -> RelayVerdict:
        return watch(order, setup.command, setup.deadlines, lambda _: None, stop, setup.start)

    return examine(setup.hive, setup.profile, facts, run)


@dataclass
class SpoolSender:
    """Sends the messages. `paused_why` says why it does not send, and is empty while it does."""

    spool: RelaySpool
    setup: SendingSetup
    stop: threading.Event
    report: DoctorReport | None = None
    report_at: str = ""
    paused_why: str = ""
    answers: str = ""
    # Held until the spool has recorded that an attempt began.
    beginning: threading.Lock = field(default_factory=threading.Lock)
    _asked: str = ""
    _failed: int = 0  # examinations in a row that found a failure
    _looked_at: float = field(default=-1e9)
    _saw_programs_at: float = field(default=-1e9)
    _has_just_looked: bool = False

    def ask_doctor(self, asked: str) -> None:
        """Have the doctor examine the host before the next message; `asked` names the request."""
        if asked and asked not in (self._asked, self.answers):
            self._asked = asked

    def expect_trouble(self) -> None:
        """Have the doctor examine the host soon: something failed that concerns more than one message."""
        if time.monotonic() - self._looked_at > LOOK_AGAIN_S:
            self._looked_at = -1e9

    def step(self, begin: MayBegin, *, may_send: bool = True) -> bool:
        """Do one thing. Return false if there was nothing to do. `begin` asks the service whether an attempt may begin."""
        again_s = DOCTOR_AGAIN_S[min(self._failed, len(DOCTOR_AGAIN_S)) - 1]
        examine_every_s = again_s if self.paused_why else DOCTOR_EVERY_S
        if self._asked or time.monotonic() - self._looked_at > examine_every_s:
            asked, self._asked = self._asked, ""
            self.report = examine_host(self.setup, self.spool, self.stop)
            self.report_at = datetime.now(timezone.utc).isoformat(timespec="seconds")
            self._looked_at = self._saw_programs_at = time.monotonic()
            self.answers = asked or self.answers
            failing = [f"{line.question} {line.found}" for line in self.report.lines if line.state == "fail"]
            self.paused_why = "; ".join(failing)[:1000]
            self._failed = self._failed + 1 if failing else 0
            return True
        doubtful = self.spool.next_in_doubt(LOOK_AGAIN_S)
        waiting = self.spool.next_to_send() if may_send and not self.paused_why else None
        if doubtful is not None and (waiting is None or not self._has_just_looked):
            self._has_just_looked = True  # alternately: slow looks without a result must not delay an alert
            self._look_for(doubtful)
        elif waiting is not None:
            self._has_just_looked = False
            self._look_at_programs()
            self._send(waiting, begin)
        return doubtful is not None or waiting is not None

    def _look_at_programs(self) -> None:
        """Look for other mail programs at most once a minute, as they can start at any time, and have a change reported at once."""
        if self.report is None or time.monotonic() - self._saw_programs_at < LOOK_AGAIN_S:
            return
        self._saw_programs_at = time.monotonic()
        report = look_again(self.report, self.setup.look().programs)
        if report is not self.report:
            self.report, self.report_at = report, datetime.now(timezone.utc).isoformat(timespec="microseconds")

    def _send(self, message: SpooledMessage, begin: MayBegin) -> None:
        """Send one message. Nothing is done before the service has recorded that the attempt begins."""
        with self.beginning:
            may_begin = begin(message.claim)
            self.spool.start(message.id)
        if may_begin:
            more = {"mime": message.mime, "recipient": message.recipient, "has_other_way": message.has_other_way}
            verdict = self._order("send", partial(self.spool.note, message.id), **more)
        else:
            # The service may have recorded the begin and its answer was lost: then this receipt ends the attempt.
            verdict = RelayVerdict(RelayOutcome.TRANSIENT, "the service did not let it begin; nothing was sent")
        self._settle(message.id, verdict)

    def _look_for(self, message: SpooledMessage) -> None:
        """Find out what happened to a message that may have left."""
        doubt = message.verdict or after_restart()
        if message.search_key:
            # Short looks, so that no alert waits behind them; it is taken back once it had all the time that one may take.
            limits, drain = self.setup.deadlines, self.setup.drain
            is_early = 0 <= time.time() - message.taken_at <= limits.logon + limits.submit + drain
            more: dict[str, Any] = {"search_key": message.search_key, "entryid": message.entryid, "abort": not is_early}
            looked = self._order("reconcile", drain=min(drain, LOOK_FOR_S), **more)
            self._settle(message.id, settle_doubt(doubt, looked), looked=True)
        elif message.verdict is None and message.phase not in SUBMIT_BEGUN:
            reason = "the relay ended before it submitted this"
            self._settle(message.id, RelayVerdict(RelayOutcome.TRANSIENT, reason))
        else:  # an older version, with Simple MAPI, left it: there is nothing to look for it by
            self._settle(message.id, replace(doubt, evidence={**doubt.evidence, "looked": True}))

    def _settle(self, message_id: str, verdict: RelayVerdict, *, looked: bool = False) -> None:
        if verdict.cause is not None:
            verdict = verdict.with_evidence(cause=str(verdict.cause))
        self.spool.end(message_id, verdict, looked=looked)
        if verdict.outcome == RelayOutcome.SENT:
            self.spool.remember("last sent", datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC"))
        if verdict.outcome in PAUSING or verdict.cause in PAUSING:
            self.paused_why = f"{verdict.outcome}: {verdict.reason}"[:1000]
            self._looked_at = -1e9  # the doctor examines the host at once, and may find no failure

    def _order(self, mode: str, on_phase: OnPhase = lambda _: None, **more: Any) -> RelayVerdict:  # noqa: ANN401  (an order's fields)
        """Have a child carry out an order, with the mail client that is chosen now."""
        choice = self._choice()
        if isinstance(choice, NoUsableClient):
            return RelayVerdict(choice.outcome, choice.reason)
        setup, use_spooler = self.setup, read_settings(self.setup.hive).use_spooler
        order = ChildOrder(mode, setup.profile, choice.as_json(), use_spooler, **{"drain": setup.drain, **more})
        return watch(order, setup.command, setup.deadlines, on_phase, self.stop, setup.start)

    def _choice(self) -> ClientChoice | NoUsableClient:
        unusable = self.report.unusable if self.report else None
        return choose_client(read_settings(self.setup.hive), self.setup.hive, unusable=unusable)

    def choice(self) -> tuple[str, str]:
        """Return the name of the mail client that is used, and the reason."""
        found = self._choice()
        return (found.name if isinstance(found, ClientChoice) else "", found.reason)
