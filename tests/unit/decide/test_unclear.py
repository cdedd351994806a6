"""Which alerts about unclear texts are open depends on what happened, not on the order and batches in which it was received."""

from dataclasses import replace
from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from app.decide.rules import CloseAlert, OpenAlert, RepeatAlert
from app.decide.unclear import judge_unclear
from app.domain.alert import Alert, AlertKind
from app.domain.event import PROVEN, Event, Phase, RunOutcome
from app.domain.job import history_order
from app.domain.run import Run
from app.domain.unclear import UnclearHistory, UnclearText, newest_withdrawn
from tests.support.decide_cases import FACTS, NOW, alert, rule
from tests.support.examples import examples
from tests.unit.decide.test_fold_order import JOB, T0, Memory

OUTCOMES = [RunOutcome.SUCCESS, RunOutcome.FAILURE, RunOutcome.WARNING, RunOutcome.CANCELLED]


@st.composite
def ends_of_a_job(draw: st.DrawFn) -> list[Event]:
    """Return ends of runs, about half of them unclear with one of three texts."""
    made = []
    for number in range(draw(st.integers(1, 10))):
        at = T0 + timedelta(hours=draw(st.integers(0, 20)))
        text = draw(st.sampled_from([None, "blue", "green", "red"]))
        outcome = RunOutcome.UNCLEAR if text else draw(st.sampled_from(OUTCOMES))
        run = draw(st.sampled_from([None, "a", "b"]))
        event = Event(f"evt_{number:02}", "cus_1", "agt_1", f"key{number:02}", at, at, job="db", run=run)
        made.append(replace(event, phase=Phase.FINISHED, outcome=outcome, message=text or "done"))
    return made


class Alerts:
    """The job, its runs, and its open alerts by text, as `decide/judge.py` keeps them."""

    def __init__(self) -> None:
        self.memory = Memory()
        self.opened: dict[str, Alert] = {}
        self.notices = 0

    def receive(self, batch: list[Event]) -> None:
        """Decide on one batch."""
        before = dict(self.memory.runs)
        self.memory.fold(batch)
        withdrawn = newest_withdrawn(before, self.memory.runs.values())
        fresh = {run.id for key, run in self.memory.runs.items() if key not in before and is_unclear(run)}
        history = self.history()
        texts = {run.event_id or "": run for run in self.memory.runs.values() if is_unclear(run)}
        history = replace(history, of_alerts=texts, withdrawn=withdrawn)
        changes = judge_unclear(JOB, fresh, history, self.opened, set(), FACTS, [rule(AlertKind.UNCLEAR)])
        for change in changes:
            match change:
                case OpenAlert():
                    assert change.form not in self.opened
                    self.opened[change.form] = alert(AlertKind.UNCLEAR, form=change.form, event_id=change.event_id)
                    self.notices += 1
                case RepeatAlert():
                    self.opened[change.alert.form] = replace(change.alert, event_id=change.event_id)
                case CloseAlert():
                    del self.opened[change.alert.form]

    def history(self) -> UnclearHistory:
        """Return what `store/events.py` reads."""
        ended = [run for run in self.memory.runs.values() if run.ended_at is not None]
        proven = max((run for run in ended if run.outcome in PROVEN), key=history_order, default=None)
        found = UnclearHistory(proven=proven)
        unclear = sorted(filter(is_unclear, ended), key=history_order)
        return replace(
            found, texts=tuple(UnclearText(run, run.message or "") for run in unclear if not found.is_answered(run))
        )


def is_unclear(run: Run) -> bool:
    return run.outcome is RunOutcome.UNCLEAR


@settings(max_examples=examples(300), deadline=None)
@given(ends_of_a_job(), st.randoms(use_true_random=False), st.integers(1, 4))
def test_any_order_and_batches_leave_the_same_questions_open(events: list[Event], chance: object, size: int) -> None:
    shuffled = list(events)
    chance.shuffle(shuffled)  # type: ignore[attr-defined]
    seen = Alerts()
    for first in range(0, len(shuffled), size):
        seen.receive(shuffled[first : first + size])
    assert set(seen.opened) == {text.form for text in seen.history().texts}
    seen.receive(shuffled)
    assert set(seen.opened) == {text.form for text in seen.history().texts}, "an event that comes twice asks nothing"


@settings(max_examples=examples(200), deadline=None)
@given(ends_of_a_job())
def test_an_open_question_is_asked_once(events: list[Event]) -> None:
    seen = Alerts()
    unclear = [event for event in events if event.outcome is RunOutcome.UNCLEAR]
    for event in unclear:
        seen.receive([event])
    assert seen.notices == len({event.message for event in unclear})


def test_a_question_opens_again_where_its_answer_was_withdrawn() -> None:
    def end(number: int, hour: int, outcome: RunOutcome, run: str | None = "a") -> Event:
        at = T0 + timedelta(hours=hour)
        event = Event(f"evt_{number}", "cus_1", "agt_1", f"key{number}", at, at, job="db", run=run)
        message = "blue" if outcome is RunOutcome.UNCLEAR else "done"
        return replace(event, phase=Phase.FINISHED, outcome=outcome, message=message)

    seen = Alerts()
    seen.receive([end(1, 2, RunOutcome.UNCLEAR, None)])
    seen.receive([end(2, 3, RunOutcome.SUCCESS)])
    assert not seen.opened
    seen.receive([end(3, 4, RunOutcome.CANCELLED)])
    assert set(seen.opened) == {"blue"}, "the run that answered it was cancelled after all"


def test_a_form_that_was_reported_before_waits_a_day() -> None:
    run = Run("run_1", "cus_1", "job_1", "event:1", NOW, ended_at=NOW, outcome=RunOutcome.UNCLEAR, message="blue")
    history = UnclearHistory((UnclearText(run, "blue"),))
    for before, hold in ((set(), timedelta(0)), ({"blue"}, timedelta(hours=24))):
        [change] = judge_unclear(JOB, {"run_1"}, history, {}, before, FACTS, [rule(AlertKind.UNCLEAR)])
        assert isinstance(change, OpenAlert)
        assert change.hold == hold
