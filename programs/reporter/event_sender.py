"""Brings what waits to the service, in order, and settles each event by its answer. It writes no event itself.

An event leaves the disk only when the service has said that it has it, or that it will never take it. So one may be sent twice
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
from programs.reporter.spool import ReporterSpool, WaitingEvent

BATCH_MOST, BATCH_BYTES = 50, 1024 * 1024  # within REFUSED_SHOWN, and well within what the service takes at once
_TRIES = 2  # while there is a spool
_TRIES_WITHOUT = 1000  # what cannot be kept is tried as long as there is time
_PAUSE_S = 1.0


class EventSender:
    """One process's way to the service. `trouble` says what went wrong last, for people; `sent` counts."""

    def __init__(self, settings: ReporterSettings) -> None:
        self.trouble = ""
        self.sent = 0
        self._agent = this_host()
        self._service: EventsClient | None = None
        try:
            self._service = EventsClient(settings)
            if self._service.is_agents_key:
                self._agent = ""
        except BadReporterSettings as cause:
            self.trouble = str(cause)

    def deliver(self, spool: ReporterSpool, deadline: float, tries: int = _TRIES) -> bool:
        """Send all that waits; true if nothing is left. What cannot be sent stays."""
        if self._service is None:
            return not spool.list()
        with spool.delivering(deadline) as is_ours:
            if not is_ours:
                self.trouble = "another tocsin-report is sending, and has not ended"
                return False
            while batch := _batch(spool.list()):
                events = [(one, event) for one in batch if (event := spool.event_in(one)) is not None]
                if events and not self._settle(spool, events, deadline, tries):
                    return False
        return True

    def send_past_the_disk(self, event: Mapping[str, Any], deadline: float) -> bool:
        """Send one event that could not be kept; true if the service has it."""
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
        """Send events and settle each; false if they stay and there is no use in going on."""
        try:
            answer = self._post([event for _, event in events], deadline, tries)
        except NoAnswer as cause:
            self.trouble = str(cause)
            return False
        except EventsRefused as cause:
            if len(events) > 1:
                return all(self._settle(spool, [one], deadline, tries) for one in events)
            self._refuse(spool, events[0][0], str(cause))
            return True
        refused = {one.index: one for one in answer.rejected}
        for index, (one, _) in enumerate(events):
            if index in refused:
                self._refuse(spool, one, f"{refused[index].code}: {refused[index].detail}")
            else:
                spool.done(one)
                self.sent += 1
        return True

    def _refuse(self, spool: ReporterSpool, one: WaitingEvent, why: str) -> None:
        spool.refuse(one, why)
        self.trouble = f"the service refused an event, it lies in {spool.refused}: {why}"

    def _post(self, events: Sequence[Mapping[str, Any]], deadline: float, tries: int) -> wire.EventsAnswer:
        """Send, and send again while it may help and there is time. Raises Away, Unfit."""
        if self._service is None:
            raise NoAnswer(self.trouble)
        for turn in range(tries):
            try:
                answer = self._service.post([self._signed(event) for event in events], deadline)
            except KeyRejected:
                raise
            except NoAnswer as cause:
                pause = _PAUSE_S if cause.retry_after_s is None else cause.retry_after_s
                if turn + 1 == tries or time.monotonic() + pause >= deadline:
                    raise
                time.sleep(pause)
                continue
            if self._agent and any(one.code == wire.MISMATCH for one in answer.rejected):
                self._agent = ""  # the key is of an agent with another name than this host: it speaks for that one
                return self._post(events, deadline, tries)
            return answer
        raise NoAnswer("no time left")

    def _signed(self, event: Mapping[str, Any]) -> dict[str, Any]:
        return {"agent": self._agent, **event} if self._agent else dict(event)


def one_line(words: str) -> str:
    """Give words as one line of plain text: some of them are another host's."""
    return " ".join("".join(one if one.isprintable() else " " for one in words).split())[:500]


def _batch(waiting: Sequence[WaitingEvent]) -> Sequence[WaitingEvent]:
    """Give the first of what waits, as much as goes at once."""
    size = 0
    batch: list[WaitingEvent] = []
    for one in waiting[:BATCH_MOST]:
        size += one.size
        if batch and size > BATCH_BYTES:
            break
        batch.append(one)
    return batch
