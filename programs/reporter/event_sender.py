"""Send the events in the spool to the service, in order, and settle each by its answer. It writes no event itself.

An event leaves the disk only when the service has confirmed that it has it, or that it will never accept it. So one may be sent twice
(a kill after the answer): its key makes it count once.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from programs.protocol import report as wire
from programs.protocol.http_client import KeyRejected, NoAnswer
from programs.reporter.client import EventsClient, EventsRefused
from programs.reporter.settings import BadReporterSettings, ReporterSettings, this_host
from programs.reporter.spool import FAILURE, ReporterSpool, WaitingEvent

BATCH_MOST, BATCH_BYTES = 50, 1024 * 1024  # within REFUSED_SHOWN, and well within the service's limits
_TRIES = 2  # for events in the spool
_TRIES_WITHOUT = 1000  # an event that cannot be stored is tried as long as there is time
_PAUSE_S = 1.0


class EventSender:
    """One process's way to the service. `trouble` says what went wrong last, for people; `sent` counts events."""

    def __init__(self, settings: ReporterSettings) -> None:
        self.trouble = ""
        self.sent = 0
        self._takes_only_failures = False
        self._agent = this_host()
        self._service: EventsClient | None = None
        try:
            self._service = EventsClient(settings)
            if self._service.is_agents_key:
                self._agent = ""
        except BadReporterSettings as cause:
            self.trouble = str(cause)

    def deliver(self, spool: ReporterSpool, deadline: float, tries: int = _TRIES) -> bool:
        """Send all waiting events; return whether none is left. Those that cannot be sent stay."""
        if self._service is None:
            return not spool.list()
        with spool.delivering(deadline) as is_ours:
            if not is_ours:
                self.trouble = "another tocsin-report is still sending"
                return False
            self._takes_only_failures = False
            while waiting := [file for file in spool.list() if file.letter == FAILURE or not self._takes_only_failures]:
                size = 0
                batch: list[WaitingEvent] = []
                for file in waiting[:BATCH_MOST]:
                    size += file.size
                    if batch and size > BATCH_BYTES:
                        break
                    batch.append(file)
                events = [(file, event) for file in batch if (event := spool.event_in(file)) is not None]
                if events and not self._settle(spool, events, deadline, tries):
                    return False
        return not spool.list()

    def send_without_spool(self, event: Mapping[str, Any], deadline: float) -> bool:
        """Send one event that could not be stored; return whether the service has it."""
        if self._service is None:
            return False
        try:
            answer = self._post([event], deadline, _TRIES_WITHOUT)
        except (NoAnswer, EventsRefused) as cause:
            self.trouble = str(cause)
            return False
        self.trouble = answer.rejected[0].detail if answer.rejected else ""
        return not answer.rejected

    def _settle(
        self, spool: ReporterSpool, events: Sequence[tuple[WaitingEvent, dict[str, Any]]], deadline: float, tries: int
    ) -> bool:
        """Send events and settle each. Return false if they stay and it is useless to continue."""
        try:
            answer = self._post([event for _, event in events], deadline, tries)
        except NoAnswer as cause:
            self.trouble = str(cause)
            return False
        except EventsRefused as cause:
            if len(events) > 1:
                return all(self._settle(spool, [event], deadline, tries) for event in events)
            self._refuse(spool, events[0][0], str(cause))
            return True
        refused = {rejected.place: rejected for rejected in answer.rejected}
        for index, (file, _) in enumerate(events):
            if index in refused and refused[index].code.startswith(wire.LATER):
                if file.letter == FAILURE:  # the service does not refuse these: it would be sent again without end
                    return False
                self._takes_only_failures = True  # the failures behind it must not wait for it
                self.trouble = f"the service takes only failures for now, the others stay here: {refused[index].detail}"
            elif index in refused:
                self._refuse(spool, file, f"{refused[index].code}: {refused[index].detail}")
            else:
                spool.done(file)
                self.sent += 1
        return True

    def _refuse(self, spool: ReporterSpool, file: WaitingEvent, why: str) -> None:
        spool.refuse(file, why)
        self.trouble = f"the service refused an event, it is kept in {spool.refused}: {why}"

    def _post(self, events: Sequence[Mapping[str, Any]], deadline: float, tries: int) -> wire.EventsAnswer:
        """Send, and send again while that may help and there is time. Raises NoAnswer, EventsRefused."""
        if self._service is None:
            raise NoAnswer(self.trouble)
        for attempt in range(tries):
            agent = {"agent": self._agent} if self._agent else {}
            try:
                answer = self._service.post([{**agent, **event} for event in events], deadline)
            except KeyRejected:
                raise
            except NoAnswer as cause:
                pause = _PAUSE_S if cause.retry_after_s is None else cause.retry_after_s
                if attempt + 1 == tries or time.monotonic() + pause >= deadline:
                    raise
                time.sleep(pause)
                continue
            if self._agent and any(rejected.code == wire.MISMATCH for rejected in answer.rejected):
                self._agent = ""  # the key belongs to an agent with another name than this host: report as that one
                return self._post(events, deadline, tries)
            if tries == _TRIES_WITHOUT and answer.has_later:
                pause = _PAUSE_S if answer.retry_after_s is None else answer.retry_after_s
                if time.monotonic() + pause < deadline:
                    time.sleep(pause)
                    continue
            return answer
        raise NoAnswer("no time left")


def one_line(text: str) -> str:
    """Return text as one line of printable characters: some of it comes from another host."""
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())[:500]
