"""Where the time of a message went is the difference of stored times, and not known where one of them is missing."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.attempt import Attempt
from app.domain.event import Activity, EventKind, EventState, Severity, StoredEvent
from app.domain.message import Message
from app.domain.notice import Notice, NoticeKind, NoticeState
from app.http.pages.proof_times import SpentOn, TimeSpent, time_spent

_AT = datetime(2026, 11, 26, 1, 43, 51, tzinfo=UTC)


def _ms(number: int) -> datetime:
    return _AT + timedelta(milliseconds=number)


def _event(received: datetime) -> StoredEvent:
    return StoredEvent(
        *("evt_1", "cus_1", "agt_1", "1", EventKind.REPORT, EventState.FOLDED, "shares", None, None),
        *(Activity.BACKUP, None, None, Severity.ERROR, received, received, None, None, None, None, None, None, None),
    )


def _notice(created: datetime, due: datetime, what: NoticeKind = NoticeKind.OPENED) -> Notice:
    return Notice("ntc_1", what, NoticeState.WORDED, "a failure", due, "", 1, "", created, message_id="msg_1")


def _message(created: datetime) -> Message:
    sent = ("msg_1", "rcp_1", "smtp", 0, "robin@example.org", 1, True, "failed", "<1@example.org>")
    return Message(*sent, created, created, created, created)


def _attempt(number: int, began: datetime, ended: datetime | None) -> Attempt:
    return Attempt(f"att_{number}", "msg_1", number, "worker", "lse_1", began, ended)


def _shown(spent: TimeSpent | None) -> list[tuple[str, float | None]]:
    assert spent is not None
    return [
        (one.stage.value, None if one.length is None else one.length / timedelta(milliseconds=1))
        for one in spent.stages
    ]


@pytest.mark.parametrize(
    ("received", "decided", "due", "worded", "attempts", "stages", "total"),
    [
        (
            *(0, 29, 29, 36),
            [(58, 80), (65_000, 65_106)],
            [("decided", 29), ("worded", 7), ("queued", 22), ("answered", 22), ("retried", 65_026)],
            65_106,
        ),
        (
            *(0, 10, 30_010, 30_020),
            [(30_025, 30_030)],
            [("decided", 10), ("held", 30_000), ("worded", 10), ("queued", 5), ("answered", 5)],
            30_030,
        ),
        (0, 10, 10, 20, [], [("decided", 10), ("worded", 10)], 20),
        (0, 10, 10, 20, [(25, None)], [("decided", 10), ("worded", 10), ("queued", 5), ("answered", None)], None),
        (None, 10, 10, 20, [(25, 30)], [("decided", None), ("worded", 10), ("queued", 5), ("answered", 5)], None),
        # The clock was put back while the message waited.
        (0, 10, 10, 20, [(5, 9)], [("decided", 10), ("worded", 10), ("queued", None), ("answered", 4)], None),
        # Somebody hurried it: the time at which it was due is before the decision, or after the message.
        (0, 10, 5, 20, [], [("decided", 10), ("worded", 10)], 20),
    ],
    ids=["greylisted", "grouped", "waits", "under way", "arrival unknown", "clock put back", "hurried"],
)
def test_each_stage_is_the_difference_of_its_times(
    received: int | None,
    decided: int,
    due: int,
    worded: int,
    attempts: Sequence[tuple[int, int | None]],
    stages: list[tuple[str, float | None]],
    total: int | None,
) -> None:
    made = [
        _attempt(number, _ms(began), None if ended is None else _ms(ended))
        for number, (began, ended) in enumerate(attempts, start=1)
    ]
    event = None if received is None else _event(_ms(received))
    spent = time_spent("Robin", event, _notice(_ms(decided), _ms(due)), [(_message(_ms(worded)), made)])
    assert _shown(spent) == stages
    assert spent is not None
    assert spent.total == (None if total is None else timedelta(milliseconds=total))


def test_a_repeat_begins_with_its_own_decision_and_the_longest_stage_is_known() -> None:
    notice = _notice(_ms(86_400_000), _ms(86_400_000), NoticeKind.REPEATED)
    spent = time_spent("Robin", _event(_ms(0)), notice, [(_message(_ms(86_400_050)), [])])
    assert _shown(spent) == [("worded", 50)]
    assert spent is not None
    assert spent.longest is SpentOn.WORDED
    assert time_spent("Robin", None, None, [(_message(_ms(0)), [])]) is None
    assert time_spent("Robin", None, notice, []) is None


@given(st.lists(st.integers(0, 10**9), min_size=8, max_size=8))
def test_the_stages_add_up_to_the_whole_time_of_a_message_that_went_two_ways(times: list[int]) -> None:
    received, decided, due, worded, *tries = map(_ms, sorted(times))
    first, second = _message(worded), replace(_message(worded), id="msg_2", transport="graph")
    moves = [(first, [_attempt(1, tries[0], tries[1])]), (second, [_attempt(1, tries[2], tries[3])])]
    spent = time_spent("Robin", _event(received), _notice(decided, due), moves)
    assert spent is not None
    assert spent.total == tries[3] - received
