"""The table of moves of a message: from each state (row) to each state (column)."""

from datetime import UTC, datetime, timedelta

import pytest

from app.core.errors import IllegalMove
from app.domain.message import Message, MessageState
from app.domain.recipient import Address

NOW = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
STATES = ("queued", "sent", "unknown", "dead", "moved", "bounced")
# A message becomes leased by `store/outbox.lease` only; see tests/unit/deliver/test_bulk_moves.py.
MOVES = """
          queued  sent  unknown  dead  moved  bounced
queued    -       yes   -        yes   yes    yes
leased    yes     yes   yes      yes   yes    -
unknown   -       yes   -        yes   yes    yes
dead      yes     yes   -        -     -      -
moved     -       yes   -        -     -      -
sent      -       yes   -        -     -      yes
bounced   yes     -     -        -     -      -
"""
CASES = [
    (row.split()[0], to, cell == "yes")
    for row in MOVES.strip().splitlines()[1:]
    for to, cell in zip(STATES, row.split()[1:], strict=True)
]


def message(state: str = "queued") -> Message:
    is_leased = state == "leased"
    return Message(
        id="msg_1",
        recipient_id="rcp_1",
        transport="smtp",
        place=0,
        address="ann@example.org",
        urgency=1,
        is_alert=True,
        subject="FAILED nightly-sql",
        message_id="<1@tocsin>",
        created_at=NOW - timedelta(minutes=10),
        due_at=NOW - timedelta(minutes=5),
        move_on_at=NOW + timedelta(minutes=5),
        give_up_at=NOW + timedelta(hours=1),
        state=MessageState(state),
        attempts=2,
        lease_token="lse_1" if is_leased else None,
        lease_until=NOW if is_leased else None,
        lease_holder="worker:a" if is_leased else None,
        why="451 try later",
    )


@pytest.mark.parametrize(("before", "after", "is_legal"), CASES)
def test_a_message_makes_only_the_moves_of_the_table(before: str, after: str, is_legal: bool) -> None:
    if is_legal:
        assert message(before).to(MessageState(after), NOW).state == after
    else:
        with pytest.raises(IllegalMove, match=f"a message that is {before} cannot become {after}"):
            message(before).to(MessageState(after), NOW)


@pytest.mark.parametrize("state", [*STATES, "leased"])
def test_no_message_becomes_leased_without_a_token(state: str) -> None:
    with pytest.raises((IllegalMove, ValueError)):
        message(state).to(MessageState.LEASED, NOW)


@pytest.mark.parametrize(
    ("after", "settled_at"), [("queued", None), ("unknown", None), ("sent", NOW), ("dead", NOW), ("moved", NOW)]
)
def test_a_move_ends_the_lease_and_says_when_the_message_was_settled(after: str, settled_at: datetime | None) -> None:
    moved = message("leased").to(MessageState(after), NOW)
    assert (moved.lease_token, moved.lease_until, moved.lease_holder) == (None, None, None)
    assert moved.settled_at == settled_at
    assert (moved.why, moved.due_at) == ("451 try later", NOW - timedelta(minutes=5))


def test_a_move_notes_its_reason_its_due_time_and_its_successor() -> None:
    later = NOW + timedelta(minutes=1)
    assert message("leased").to(MessageState.QUEUED, NOW, why="no route", due_at=later).due_at == later
    moved = message("leased").to(MessageState.MOVED, NOW, why="goes by mapi instead", moved_to="msg_2")
    assert (moved.why, moved.moved_to) == ("goes by mapi instead", "msg_2")


def test_a_successor_starts_again_with_the_same_identity_and_the_same_time_to_be_sent_in() -> None:
    first = message("leased")
    second = first.successor("msg_2", 1, Address("mapi", "ann@example.com"), NOW, "smtp could not send it")
    assert (second.transport, second.place, second.address) == ("mapi", 1, "ann@example.com")
    assert (second.state, second.attempts, second.lease_token) == (MessageState.QUEUED, 0, None)
    assert (second.message_id, second.moved_from, second.why) == (first.message_id, first.id, "smtp could not send it")
    assert second.move_on_at - NOW == first.move_on_at - first.created_at
    assert second.give_up_at - NOW == first.give_up_at - first.created_at
