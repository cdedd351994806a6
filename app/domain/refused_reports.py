"""Reports of an agent that were refused, such as beyond a budget or as invalid: what an alert says of them when a run is missed. Pure."""

from dataclasses import dataclass
from datetime import datetime, timedelta

COUNTED_FOR = timedelta(days=1)  # a count begins again when nothing was refused for so long
BEFORE_DUE = timedelta(hours=12)  # what was refused so long before a run was due may have been the run
WHY_MOST = 300


@dataclass(frozen=True, slots=True)
class RefusedReports:
    """How many reports of an agent were refused from `since` to `last_at`, and why the last one was."""

    agent_id: str
    customer_id: str
    since: datetime
    last_at: datetime
    count: int
    why: str

    def describe(self) -> str:
        """Return a part of a sentence: `3 reports of this agent were refused since ...: ...`."""
        reports = "1 report of this agent was" if self.count == 1 else f"{self.count} reports of this agent were"
        return f"{reports} refused since {self.since:%Y-%m-%d %H:%M} UTC: {self.why}"


def with_refused(message: str, refused: RefusedReports, since: datetime) -> str:
    """Return the message about a report that was due and did not come, with what was refused, if anything was after `since`."""
    return f"{message}; {refused.describe()}" if refused.last_at > since else message
