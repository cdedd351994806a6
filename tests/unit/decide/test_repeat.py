"""Whether an alert that was reported is reported again, and the reason that the notice shows."""

from datetime import timedelta

import pytest

from app.decide.repeat import Send, Wait, decide_repeat
from app.domain.alert import Alert
from app.domain.route import Route
from tests.support.decide_cases import NOW, ago, alert, route

DAILY = route("daily", repeat_every=timedelta(days=1))
ONCE = route("once")
OFF = route("off", repeat_every=timedelta(days=1), enabled=False)
REPORTED_ONCE = Wait("its route reports each alert once, or was disabled or deleted")


@pytest.mark.parametrize(
    ("state", "by", "expected"),
    [
        (alert(since=ago(hours=5)), DAILY, Send("still open; route 'daily' repeats")),
        (alert(since=ago(days=1)), DAILY, Send("still open after 1 day; route 'daily' repeats")),
        (alert(since=ago(days=9, hours=3)), DAILY, Send("still open after 9 days; route 'daily' repeats")),
        (alert(closed_at=NOW, closed_reason="it ran"), DAILY, Wait("closed: it ran")),
        (alert(acknowledged_at=NOW, acknowledged_by="Robin"), DAILY, Wait("acknowledged by Robin")),
        (alert(), ONCE, REPORTED_ONCE),
        (alert(), OFF, REPORTED_ONCE),
        (alert(), None, REPORTED_ONCE),  # the route was deleted
    ],
)
def test_an_open_alert_is_repeated_by_a_route_that_repeats(
    state: Alert, by: Route | None, expected: Send | Wait
) -> None:
    assert decide_repeat(state, by, NOW) == expected
