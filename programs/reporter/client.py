"""Sends events to the service, as programs/protocol/report.py describes it, through a proxy where the environment names one.

It decides nothing.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from datetime import datetime, timezone
from typing import Any

from programs.protocol import report as wire
from programs.protocol.checked import BadShape
from programs.protocol.http_client import BadAddress, HttpClient, KeyRejected, NoAnswer, TimeLimits
from programs.reporter import VERSION
from programs.reporter.settings import BadReporterSettings, ReporterSettings

_ACCEPTED, _PROBLEMS = 202, (400, 413, 415, 422)
_TOO_LARGE, _OVER_BUDGET, _BUSY, _KEY_REJECTED = 413, 429, (429, 503), (401, 403)
STEP_S = 5.0  # for each step of an exchange
_SHORTEST_S = 0.1


class EventsRefused(Exception):
    """The service accepts nothing of what was sent, and would not if it were sent again. The text says why."""


class EventsClient:
    """The service that the settings name. Raises BadReporterSettings if they cannot be used."""

    def __init__(self, settings: ReporterSettings) -> None:
        if settings.trouble:
            raise BadReporterSettings(settings.trouble)
        self.is_agents_key = settings.key.startswith(wire.AGENT_KEY)
        headers = {
            "Authorization": f"Bearer {settings.key}",
            "Content-Type": wire.LINES,
            "User-Agent": f"tocsin-report/{VERSION}",
        }
        try:
            self._http = HttpClient(
                settings.url, headers, ca_file=settings.ca_file, keeps_connection=False, uses_proxy=True
            )
        except BadAddress as cause:
            raise BadReporterSettings(str(cause)) from cause

    def post(self, events: Sequence[dict[str, Any]], deadline: float) -> wire.EventsAnswer:
        """Send events and return the answer, by `deadline` of the monotonic clock. Raises NoAnswer, EventsRefused."""
        left_s = max(_SHORTEST_S, deadline - time.monotonic())
        step_s = min(STEP_S, left_s)
        sent_at = datetime.now(
            timezone.utc
        ).isoformat()  # the service compares it with its own clock, and corrects ours
        body = b"".join(wire.line_of({**event, "sent_at": sent_at}) for event in events)
        answer = self._http.post(wire.EVENTS, body, TimeLimits(step_s, step_s, left_s), wire.ANSWER_MOST)
        status = answer.status
        if status in _KEY_REJECTED:
            raise KeyRejected(f"the service does not accept our key ({status})")
        read: wire.EventsAnswer | None = None
        if status in (_ACCEPTED, _OVER_BUDGET, *_PROBLEMS):
            with contextlib.suppress(BadShape):
                read = wire.EventsAnswer.from_json(answer.body)
        if status in _BUSY:
            if read is not None and read.settled == len(events) and read.has_later:
                return read._replace(retry_after_s=answer.retry_after_s)
            raise NoAnswer(f"the service is busy ({status})", answer.retry_after_s)
        if read is not None and read.settled == len(events) and (status == _ACCEPTED or read.rejected):
            return read  # another server that answers at this address does not count our events
        if status == _TOO_LARGE or (read is not None and read.code and read.code not in wire.TO_BE_SENT_AGAIN):
            raise EventsRefused(f"{status} {read.code}: {read.detail}"[:300] if read else str(status))
        raise NoAnswer(f"{self._http.host} answered {status}: is it Tocsin's address?")
