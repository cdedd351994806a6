"""The contents of a message before it is rendered: read models for compose and for previews. Pure; no texts."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import NamedTuple

from app.domain.alert import Alert
from app.domain.canary import MailTimes
from app.domain.job import JobState
from app.domain.notice import NoticeKind


@dataclass(frozen=True, slots=True)
class AlertView:
    """One alert as it is reported to one recipient. `thread_id` and `thread_subject` are of the first mail to them about it, or None."""

    alert: Alert
    what: NoticeKind
    reason: str  # of the notice: why it is sent to this recipient now
    customer: str
    time_zone: str
    agent: str
    job: str | None
    activity: str
    last_success_at: datetime | None
    failures_in_row: int
    missed_in_row: int
    warnings_in_row: int
    expected_at: datetime | None  # the slot that was missed
    next_due_at: datetime | None
    log_tail: str | None
    metrics: dict[str, float]
    run_id: str | None
    thread_id: str | None
    habit: str | None = None  # the learned times, in words, where nobody confirmed them
    log_head: str | None = None  # of an unclear text: the beginning of its body
    reading: Mapping[str, str] | None = (
        None  # of an unclear text: the words and the rule that decided; None: its sender called it unclear
    )
    zone_hint: str | None = None  # of a missed run: that the time zone of the job's expectation may be wrong
    thread_subject: str | None = None
    agent_waits: bool = False  # for approval
    good_run_id: str | None = None  # of an alert that is over: the newest run of its job that ended well
    notice_due_at: datetime | None = None  # when the notice was due: the moment up to which "for 3 days" counts


class DayCell(NamedTuple):
    """One day of a job's strip, in the customer's time zone. A summary has thousands: a dataclass takes six times as long to make."""

    day: date
    successes: int
    warnings: int
    failures: int
    missed: int
    cancelled: int
    bytes_processed: int
    bytes_stored: int
    duration_s: float
    unclear: int = 0

    @property
    def word(self) -> str:
        """The day in one word: failed, missed, warning, late (missed, then came), ok, unclear, cancelled, or none (no report)."""
        if self.failures:
            return "failed" if not (self.successes or self.warnings) else "warning"
        if self.missed:
            return "late" if self.successes or self.warnings else "missed"
        if self.warnings:
            return "warning"
        if self.unclear:
            return "unclear"
        if self.successes:
            return "ok"
        return "cancelled" if self.cancelled else "none"


@dataclass(frozen=True, slots=True)
class JobLine:
    """One job's line in a summary. `strip` has the last 14 days, or all days of a longer period, oldest first.

    `failures` and `missed` count the runs of the period, where it is longer than a day.
    """

    job_id: str
    customer: str
    agent: str
    job: str
    activity: str
    state: JobState
    failing_since: datetime | None
    last_success_at: datetime | None
    last_message: str | None
    silenced_until: datetime | None
    strip: tuple[DayCell, ...]
    failures: int = 0
    missed: int = 0


@dataclass(frozen=True, slots=True)
class PeriodRuns:
    """How the runs of a period ended: the states of the jobs tell only how it ended."""

    successes: int
    warnings: int
    failures: int
    missed: int
    cancelled: int
    unclear: int


@dataclass(frozen=True, slots=True)
class Section:
    """One part of a summary; `more` counts the jobs that are left out to keep the mail short."""

    title: str  # failed | missed | unclear | warning | recovered | silenced | ok | new
    lines: tuple[JobLine, ...]
    more: int


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums over all jobs of a summary on its newest full day, or over a longer period, and what the same jobs usually have."""

    bytes_processed: int
    bytes_stored: int
    duration_s: float
    usual_bytes_processed: float
    usual_bytes_stored: float
    usual_duration_s: float


@dataclass(frozen=True, slots=True)
class SummaryView:
    """A summary as its recipients receive it. `undelivered` counts messages that could not be sent in the period; no other mail reports that."""

    schedule: str
    number: int
    period_start: datetime
    period_end: datetime
    time_zone: str
    expected: int
    heard: int
    jobs: int
    failed: int
    missed: int
    warnings: int
    ok: int
    new: int
    silent_agents: tuple[str, ...]
    without_expectation: int
    undelivered: int
    set_aside: int
    totals: Totals
    sections: tuple[Section, ...]
    thread_id: str | None = None
    overrun: int = 0  # jobs of which a run takes too long
    unclear: int = 0  # jobs of which nobody knows how the newest run ended
    unclear_runs: int = 0  # that ended in the period
    unclear_texts: int = 0  # forms of texts that wait for an answer now
    runs: PeriodRuns | None = None  # of a period that is longer than a day
    unconfirmed: int = 0  # jobs whose learned expectation nobody confirmed
    mail_times: MailTimes | None = None  # how long mail took in the days up to the end of the period
    bounced: int = 0  # messages that came back in the period
    waiting_agents: int = 0  # that wait for approval now: nothing is expected of them, and their successes do not count
    unknown_numbers: tuple[int, int] | None = None  # of summaries before it that were sent and that the database lacks
