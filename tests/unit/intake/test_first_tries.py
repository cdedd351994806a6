"""A body that was not stored to its end is recognised when it is sent again, and not for ever."""

from datetime import UTC, datetime, timedelta

import pytest

from app.core.errors import MalformedBody, Overloaded
from app.intake.first_tries import KEPT, FirstTries, identify_body
from app.intake.validate import Sender

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)


def attempt(tries: FirstTries, body: bytes, at: datetime, error: Exception | None = None) -> datetime:
    try:
        with tries.trying(body, at) as first_at:
            if error is not None:
                raise error
    except (Overloaded, MalformedBody):
        pass
    return first_at


@pytest.mark.parametrize(
    ("error", "after", "is_known"),
    [
        (Overloaded("busy"), timedelta(minutes=5), True),
        (Overloaded("busy"), KEPT + timedelta(seconds=1), False),  # the same content of another night is new
        (MalformedBody("no JSON"), timedelta(minutes=5), False),
        (None, timedelta(minutes=5), False),
    ],
)
def test_the_first_time_is_kept_for_an_hour_unless_the_body_was_answered(
    error: Exception | None, after: timedelta, *, is_known: bool
):
    tries = FirstTries()
    assert attempt(tries, b"x", NOW, error) == NOW
    assert attempt(tries, b"other", NOW + after) == NOW + after
    assert attempt(tries, b"x", NOW + after) == (NOW if is_known else NOW + after)


async def test_the_same_body_of_another_sender_is_another_one():
    senders = [Sender("cus1", "agt1"), Sender("cus1", "agt2"), Sender("cus2", "agt1"), Sender("cus1")]
    assert len({await identify_body(sender, b"[]") for sender in senders}) == len(senders)
    assert await identify_body(senders[0], b"[]") == await identify_body(senders[0], b"[]")
