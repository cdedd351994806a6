"""The state of a job does not depend on the order and the batches in which its events arrive."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from app.decide.fold import fold_job
from app.domain.dedupe import taught_key
from app.domain.event import TAUGHT_EVENT, TAUGHT_RUN, Activity, Event, EventKind, Phase, RunOutcome, Severity
from app.domain.expectation import Expectation
from app.domain.job import HistoryOrder, Job, JobState, apply_run, history_order
from app.domain.pairing import NearbyRuns, pair_runs, places_to_pair
from app.domain.run import NAMED, Run, run_key_of, run_keys_of
from tests.support.examples import examples

T0 = datetime(2026, 11, 1, tzinfo=UTC)
JOB = Job(
    "job_1",
    "cus_1",
    "agt_1",
    "db",
    Activity.BACKUP,
    T0,
    expectation=Expectation(timedelta(hours=1), cron="0 3 * * *", longest=timedelta(hours=4)),
)


@st.composite
def events_of_a_job(draw: st.DrawFn) -> list[Event]:
    """Return starts, ends, progress, missed runs and messages over some days, with equal times and repeated runs."""
    made = []
    for number in range(draw(st.integers(1, 12))):
        at = T0 + timedelta(hours=draw(st.integers(0, 40)))
        kind = draw(st.sampled_from(["started", "progress", "ended", "ended", "ended", "missed", "message", "taught"]))
        run = draw(st.sampled_from([None, "a", "b", "c"]))
        base = Event(f"evt_{number:02}", "cus_1", "agt_1", f"key{number:02}", at, at, job="db", run=run)
        if kind == "missed":
            made.append(
                replace(base, kind=EventKind.MISSED, run=None, outcome=RunOutcome.MISSED, severity=Severity.ERROR)
            )
        elif kind == "ended":
            outcome = draw(
                st.sampled_from(
                    [
                        *(RunOutcome.SUCCESS, RunOutcome.WARNING, RunOutcome.FAILURE),
                        *(RunOutcome.CANCELLED, RunOutcome.UNCLEAR, RunOutcome.UNCLEAR),
                    ]
                )
            )
            metrics = {"bytes_processed": float(draw(st.integers(0, 9)))}
            metrics |= draw(st.sampled_from([{}, {}, {"duration_s": 60.0}]))
            made.append(replace(base, phase=Phase.FINISHED, outcome=outcome, message=f"m{number}", metrics=metrics))
        elif kind == "taught" and (reports := [e for e in made if e.kind is EventKind.REPORT]):
            explained = draw(st.sampled_from(reports))
            outcome = draw(st.sampled_from([RunOutcome.SUCCESS, RunOutcome.FAILURE]))
            extra = {TAUGHT_RUN: run_key_of(explained), TAUGHT_EVENT: explained.id}
            taught = replace(
                base,
                kind=EventKind.TAUGHT,
                key=taught_key(explained.id, T0 + timedelta(seconds=number)),
                outcome=outcome,
                extra=extra,
            )
            made.append(replace(taught, run=None, occurred_at=explained.occurred_at))
        elif kind in ("message", "taught"):
            made.append(base)
        else:
            made.append(replace(base, phase=Phase(kind)))
    return made


def count_again(job: Job, ended: Sequence[Run]) -> Job:
    """Return the job with its state made from all its ended runs, in their order."""
    job = replace(job, state=JobState.NEW, failures_in_row=0, warnings_in_row=0, missed_in_row=0, failing_since=None)
    job = replace(
        job, last_outcome=None, last_finished_at=None, last_success_at=None, last_message=None, last_run_id=None
    )
    for run in ended:
        job = apply_run(job, run)
    return job


class Memory:
    """What is stored of one job, saved as `decide/judge.py` does."""

    def __init__(self) -> None:
        self.job = JOB
        self.runs: dict[str, Run] = {}
        self.days: dict[date, dict[str, float]] = {}

    def fold(self, batch: Sequence[Event]) -> None:
        """Fold one batch and save the result."""
        known = {key: self.runs[key] for event in batch for key in run_keys_of(event) if key in self.runs}
        places = places_to_pair(self.job, known.values(), batch)
        nearby = NearbyRuns(places, self.runs) if places else None
        folded = fold_job(self.job, known, batch, "Europe/Berlin", nearby)
        self.runs |= {run.run_key: run for run in folded.runs}
        self.job = folded.after
        if folded.is_late:
            self.job = count_again(folded.after, _ended_in_order(self))
        for day, sums in folded.sums.items():
            kept = self.days.setdefault(day, {})
            for name, amount in sums.items():
                kept[name] = kept.get(name, 0) + amount
        last = self.job.last_finished_at
        for key, run in self.runs.items():
            is_open = run.outcome is None and not key.startswith(NAMED)
            if is_open and run.started_at and last and run.started_at <= last:
                self.runs[key] = replace(run, outcome=RunOutcome.SUPERSEDED, overrun_at=None)
        began = [run.started_at for run in self.runs.values() if run.outcome is None and run.started_at]
        self.job = replace(self.job, running_since=max(began, default=None))

    def state(self) -> object:
        """Return everything that must not depend on the order; the ids of runs are random."""
        runs = {key: replace(run, id="") for key, run in self.runs.items()}
        days = {day: {n: a for n, a in sums.items() if a} for day, sums in self.days.items()}
        keys = {run.id: key for key, run in self.runs.items()}
        job = replace(self.job, last_run_id=keys.get(self.job.last_run_id or ""), last_due_at=None)
        return job, runs, {day: sums for day, sums in days.items() if sums}


def _ended_in_order(memory: Memory) -> list[Run]:
    return sorted((run for run in memory.runs.values() if run.ended_at), key=history_order)


@settings(max_examples=examples(400), deadline=None)
@given(events_of_a_job(), st.randoms(use_true_random=False), st.integers(1, 5))
def test_any_order_and_batches_lead_to_the_same_state(events: list[Event], chance: object, size: int) -> None:
    ordered = Memory()
    ordered.fold(sorted(events, key=lambda e: (e.occurred_at, e.key)))
    shuffled = list(events)
    chance.shuffle(shuffled)  # type: ignore[attr-defined]
    mixed = Memory()
    for first in range(0, len(shuffled), size):
        mixed.fold(shuffled[first : first + size])
    assert mixed.state() == ordered.state()


@settings(max_examples=examples(200), deadline=None)
@given(events_of_a_job())
def test_an_event_that_comes_twice_changes_nothing(events: list[Event]) -> None:
    once, twice = Memory(), Memory()
    once.fold(events)
    twice.fold(events)
    twice.fold(events)
    assert twice.state() == once.state()


@settings(max_examples=examples(200), deadline=None)
@given(events_of_a_job())
def test_counters_agree_with_the_history(events: list[Event]) -> None:
    memory = Memory()
    for event in sorted(events, key=lambda e: (e.occurred_at, e.key)):
        memory.fold([event])
    ended = _ended_in_order(memory)
    in_row = 0
    for run in reversed(ended):
        if run.outcome in (RunOutcome.SUCCESS, RunOutcome.WARNING):
            break
        in_row += run.outcome is RunOutcome.FAILURE
    assert memory.job.failures_in_row == in_row
    assert memory.job.last_finished_at == (ended[-1].ended_at if ended else None)


@settings(max_examples=examples(400), deadline=None)
@given(events_of_a_job(), st.randoms(use_true_random=False), st.integers(1, 5))
def test_starts_and_ends_without_a_run_are_paired_as_if_all_were_known_at_once(
    events: list[Event], chance: object, size: int
) -> None:
    memory = Memory()
    chance.shuffle(events)  # type: ignore[attr-defined]
    for first in range(0, len(events), size):
        memory.fold(events[first : first + size])
    everywhere: list[HistoryOrder] = [history_order(run) for run in _ended_in_order(memory)]
    assert pair_runs(memory.runs.values(), everywhere) == []


STARTED: dict[str, Any] = {"phase": Phase.STARTED}
MISSED: dict[str, Any] = {"kind": EventKind.MISSED, "outcome": RunOutcome.MISSED}
ENDED: dict[str, Any] = {"outcome": RunOutcome.SUCCESS}


def event(number: int, minute: int, **fields: Any) -> Event:
    at = T0 + timedelta(minutes=minute)
    return Event(f"evt_{number}", "cus_1", "agt_1", f"key{number}", at, at, job="db", **fields)


def test_a_missed_slot_between_a_start_and_its_end_does_not_separate_them() -> None:
    memory = Memory()
    for number, (minute, fields) in enumerate([(10, STARTED), (20, MISSED), (40, ENDED)]):
        memory.fold([event(number, minute, **fields)])
    assert [run.duration_s for run in _ended_in_order(memory)] == [0, 1800]


def test_an_end_is_paired_with_the_newest_start_since_the_end_before() -> None:
    started, ended = STARTED, ENDED
    events = [
        (0, started),
        (10, started),
        (15, {"phase": Phase.PROGRESS}),
        (40, ended),
        (50, ended),
        (5000, started),
        (9999, ended),
    ]
    memory = Memory()
    for number, (minute, fields) in enumerate(events):
        memory.fold([event(number, minute, **fields)])
    lasted = [run.duration_s / 60 for run in _ended_in_order(memory)]
    assert lasted == [30, 0, 0], "not from the start that died, not twice, and not from days ago"
    assert memory.job.running_since is None
