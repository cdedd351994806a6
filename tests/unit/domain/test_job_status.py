"""The verdict on many jobs: one row a case, and what was not seen is never `ok`."""

from datetime import UTC, datetime, timedelta

import pytest

from app.domain.job_status import JobCounts, PipelineState, StatusVerdict, judge_status

NOW = datetime(2026, 11, 27, 8, tzinfo=UTC)
STALE = "no worker runs"


@pytest.mark.parametrize(
    ("counts", "stale", "verdict", "reason"),
    [
        (JobCounts(ok=3, new=1), None, "ok", "3 of 4 jobs are ok"),
        (JobCounts(ok=3, failed=1), None, "critical", "1 failed"),
        (JobCounts(ok=3, missed=2, warning=1), None, "critical", "2 missed, 1 with warnings"),
        (JobCounts(ok=3, silent_agents=1), None, "critical", "1 silent agent"),
        (JobCounts(ok=3, warning=1), None, "warning", "1 with warnings"),
        (JobCounts(ok=3, unclear=1), None, "warning", "1 unclear"),
        (JobCounts(), None, "unknown", "no job matches"),
        (JobCounts(new=2), None, "unknown", "no job has ended a run yet"),
        (JobCounts(ok=3), STALE, "unknown", STALE),
        (JobCounts(ok=3, warning=1), STALE, "unknown", f"{STALE}; 1 with warnings"),
        (JobCounts(ok=3, failed=1), STALE, "critical", f"1 failed, {STALE}"),
        (JobCounts(), STALE, "unknown", STALE),
    ],
)
def test_the_verdict_and_its_reason(counts: JobCounts, stale: str | None, verdict: str, reason: str):
    judged = judge_status(counts, stale)
    assert (judged.verdict, judged.reason) == (StatusVerdict(verdict), reason)


@pytest.mark.parametrize(
    ("seen_s", "undecided_s", "stale"),
    [
        (5, None, None),
        (5, 60, None),
        (5, 601, "reports have waited for 10 minutes to be processed"),
        (-30, None, None),
        (
            -3600,
            None,
            "the newest heartbeat of a worker is in the future: the clocks of the servers differ, or were set back",
        ),
        (61, None, "no worker runs, so reports are not processed and missed runs are not noticed"),
        (None, None, "no worker runs, so reports are not processed and missed runs are not noticed"),
    ],
)
def test_states_are_stale_when_nobody_updates_them(seen_s: int | None, undecided_s: int | None, stale: str | None):
    ago = [None if seconds is None else NOW - timedelta(seconds=seconds) for seconds in (seen_s, undecided_s)]
    assert PipelineState(*ago).stale_because(NOW) == stale
