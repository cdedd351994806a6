"""The running relay: three threads that meet in the spool. One fetches messages, one sends them, one reports to the service.

Whatever the service does, no thread ends: after a failure each waits a little longer and tries again. The log is here, too.
"""

from __future__ import annotations

import logging
import platform
import random
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any

from programs.protocol.checked import one_line
from programs.protocol.http_client import KeyRejected, NoAnswer
from programs.protocol.relay import CLAIMS_MOST, LeaseClaim, RelayHeartbeat, RelayInstructions, RelayReceipt
from programs.relay.client import RelayClient
from programs.relay.sender import SpoolSender
from programs.relay.spool import RelaySpool, SpoolDamaged, SpoolUnusable

VERSION = "0.1.0"
WAIT_S = 30.0
BEAT_S = 30.0
RENEW_S = 20.0
STOCK = 3  # unsent messages on this host: one child at a time needs no more, and another relay may send the rest
HELD_MOST = 200  # messages held in total, with those that may have left and cannot be looked for yet
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 1.0, 60.0
_IDLE_S = 1.0
_PAUSED_WAIT_S = 5.0
_LAST_WORD_S = 5.0  # for each step of the last report: Windows does not wait long for a service that stops
log = logging.getLogger("tocsin.relay")


@dataclass
class RelayLoop:
    """One running relay."""

    spool: RelaySpool
    sender: SpoolSender
    service_for: Callable[[], RelayClient]  # each thread has its own connection
    stop: threading.Event
    _wanted: RelayInstructions = field(default_factory=RelayInstructions)
    _work: threading.Event = field(default_factory=threading.Event)
    _news: threading.Event = field(default_factory=threading.Event)
    _room: threading.Event = field(default_factory=threading.Event)
    _services: list[RelayClient] = field(default_factory=list)
    _renewed_at: float = -1e9
    _reported_at: float = -1e9
    _reported: tuple[str, str] = ("", "")
    _broken: SpoolDamaged | None = None

    def run(self) -> None:
        """Work until `stop` is set; then let the child end, report what is known, and return.

        Raises SpoolDamaged: a restart then opens a new spool.
        """
        turns = (self._fetch, self._send, self._report)
        threads = [threading.Thread(target=self._repeat, args=(turn,), daemon=True) for turn in turns]
        for thread in threads:
            thread.start()
        self.stop.wait()
        for event in (self._work, self._news, self._room):
            event.set()
        threads[1].join(timeout=self.sender.setup.deadlines.stopping + 10)
        try:
            last = self.service_for()
            last.patience_s = _LAST_WORD_S
            self._hand_in(last)
            last.close()
        except (NoAnswer, SpoolDamaged, SpoolUnusable) as cause:
            log.warning("verdicts stay in the spool until the next start: %s", cause)
        for service in self._services:
            service.close()
        for thread in threads:
            thread.join(timeout=2)
        if self._broken is not None:
            raise self._broken

    def _repeat(self, step: Callable[[RelayClient], None]) -> None:
        service, pause, name = self.service_for(), _FIRST_PAUSE_S, step.__name__.strip("_")
        self._services.append(service)
        while not self.stop.is_set():
            try:
                step(service)
                pause = _FIRST_PAUSE_S
                continue
            except NoAnswer as cause:
                level = logging.ERROR if isinstance(cause, KeyRejected) else logging.WARNING
                log.log(level, "%s: %s", name, cause)
            except SpoolUnusable as cause:
                log.error("%s: the spool cannot be used: %s", name, cause)  # noqa: TRY400  (a full disk is not our defect)
                self.sender.expect_trouble()
            except SpoolDamaged as cause:
                self._broken = cause
                self.stop.set()
            except Exception:
                log.exception("%s failed by a defect of the relay", name)
            self.stop.wait(pause * random.uniform(0.7, 1.3))  # noqa: S311  (jitter, no secret)
            pause = min(pause * 2, _LONGEST_PAUSE_S)

    def _fetch(self, service: RelayClient) -> None:
        """Lease as many messages as there is room for; while paused none, so that what we hold is released."""
        is_paused = self._is_paused
        most = 0 if is_paused else min(STOCK - self.spool.unbegun, HELD_MOST - self.spool.waiting()[0])
        if self.sender.report is None or (most <= 0 and not is_paused):
            self._room.wait(_IDLE_S)
            self._room.clear()
            return
        wait_s = WAIT_S if most else _PAUSED_WAIT_S  # our own pause may end meanwhile
        answer = service.lease(wait_s, most, self.spool.holding(begun=is_paused)[:CLAIMS_MOST])
        self._follow(answer.wanted)
        if is_paused:  # by now the service has it back: a disk that cannot be written to keeps nothing here
            with self.sender.beginning:
                self.spool.drop_unbegun()
        for mail in answer.messages:
            self.spool.take(mail)
        if answer.messages:
            self._work.set()

    @property
    def _is_paused(self) -> bool:
        return self._wanted.is_paused or bool(self.sender.paused_why)

    def _send(self, service: RelayClient) -> None:
        if self.sender.step(service.begin, may_send=not self._wanted.is_paused):
            self._news.set()
            self._room.set()
        else:
            self._work.wait(_IDLE_S)
            self._work.clear()

    def _report(self, service: RelayClient) -> None:
        """Report our state, renew what is held, and hand in verdicts as they come. What needs the disk comes last."""
        now, urgent = time.monotonic(), (self.sender.report_at, self.sender.paused_why)
        is_due = now - self._reported_at > BEAT_S
        if is_due or urgent != self._reported:
            self._follow(service.beat(self._heartbeat()))
            self._reported, self._reported_at = urgent, now
        holding = self.spool.holding(begun=self._is_paused)
        if holding and now - self._renewed_at > RENEW_S:
            service.renew(holding[:CLAIMS_MOST])
            self._renewed_at = now
        self._hand_in(service)
        if is_due:
            self.spool.tidy()
        self._news.wait(_IDLE_S)
        self._news.clear()

    def _heartbeat(self) -> RelayHeartbeat:
        waiting, oldest_s = self.spool.waiting()
        client, why = self.sender.choice()
        return RelayHeartbeat(
            version=VERSION,
            host=socket.gethostname()[:200] or "unknown",
            python=f"{platform.python_version()} {struct.calcsize('P') * 8}-bit, {platform.system()} {platform.release()}"[
                :200
            ],
            client=client[:200],
            client_why=why,
            profile=self.sender.setup.profile[:200],
            paused_why=self.sender.paused_why,
            waiting=waiting,
            oldest_s=round(oldest_s, 1),
            sent=self.spool.sent,
            doctor_at=self.sender.report_at,
            answers=self.sender.answers,
            doctor=[] if self.sender.report is None else self.sender.report.lines,
        )

    def _hand_in(self, service: RelayClient) -> None:
        ended = {(one.id, one.token): one for one in self.spool.to_hand_in()}
        if not ended:
            return
        verdicts = [(one, one.verdict.as_json()) for one in ended.values() if one.verdict is not None]
        receipts = [
            RelayReceipt(one.id, one.token, it["outcome"], it["reason"], it["evidence"]) for one, it in verdicts
        ]
        for answer in service.hand_in(receipts):
            if (answer.id, answer.token) in ended:
                self.spool.handed_in(LeaseClaim(answer.id, answer.token))
                log.info("message %s: %s", answer.id, answer.result)

    def _follow(self, wanted: RelayInstructions) -> None:
        if wanted.is_paused != self._wanted.is_paused:
            log.warning("the service wants: %s", f"pause ({wanted.why})" if wanted.is_paused else "send again")
        self._wanted = wanted
        if wanted.doctor_asked:
            self.sender.ask_doctor(wanted.doctor_asked)
            self._work.set()


_MOST, _KEPT = 2 * 1024 * 1024, 5


class OneLineFormatter(logging.Formatter):
    """One line for each record, and indented lines for a trace: no text of the service or of Windows can look like a record of ours."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  (logging's name)
        """Return the record on one line."""
        return one_line(super().formatMessage(record))

    def formatException(self, ei: Any) -> str:  # noqa: ANN401, N802  (as in logging)
        """Return the trace, each line indented."""
        return "\n".join(f"    {one_line(line)}" for line in super().formatException(ei).splitlines())


class _EventLog(logging.Handler):
    """Windows' event log, by servicemanager, which contains the message texts for it."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record. A failure here must not stop a mail."""
        if sys.platform == "win32":
            import servicemanager  # noqa: PLC0415  (Windows only)

            try:
                text = self.format(record)[:30_000]
                write = servicemanager.LogErrorMsg if record.levelno >= logging.ERROR else servicemanager.LogWarningMsg
                write(text)
            except Exception:  # noqa: BLE001  (the boundary of the log)
                self.handleError(record)


def set_up_log(folder: Path, *, console: bool, event_log: bool) -> None:
    """Write the log to a rotated file in the relay's folder; errors and warnings also to Windows' event log, all also to the console."""
    path = folder / "relay.log"
    handlers: list[logging.Handler] = [
        RotatingFileHandler(path, maxBytes=_MOST, backupCount=_KEPT, encoding="utf-8", errors="replace")
    ]
    if console:
        handlers.append(logging.StreamHandler(sys.stderr))
    if event_log and sys.platform == "win32":
        handlers.append(_EventLog(logging.WARNING))
    for handler in handlers:
        handler.setFormatter(OneLineFormatter("%(asctime)s %(levelname)s %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=handlers, force=True)
