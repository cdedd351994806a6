"""When an alert of a group is reported: it is 8:00 now; the group's newest message was, or will be, due at `newest`."""

from datetime import timedelta

import pytest

from app.decide.group import CRITICAL_AT_ONCE, critical_full_at, critical_group_of, due_at, group_of, plausible_time
from tests.support.decide_cases import FACTS, NOW, route


@pytest.mark.parametrize(
    ("wait", "interval", "newest", "due"),
    [
        # minutes: group_wait, group_interval, the newest message of the group, this one; 0 is now
        (0, 5, None, 0),  # the first alert of a group is reported at once
        (0, 5, -1, 4),  # one more a minute later: at the end of the interval
        (0, 5, -4, 1),
        (0, 5, -5, 0),  # the interval is over
        (0, 5, -600, 0),
        (0, 5, 4, 4),  # it joins the message that waits
        (0, 5, 0, 0),
        (2, 5, None, 2),  # with a wait, the first alert waits for others
        (2, 5, 1, 1),
        (2, 5, -3, 2),
        (2, 5, -5, 2),
        (0, 0, -1, 0),  # without an interval nothing waits
    ],
)
def test_alerts_of_a_group_are_reported_together(wait: int, interval: int, newest: int | None, due: int) -> None:
    by = route(group_wait=timedelta(minutes=wait), group_interval=timedelta(minutes=interval))
    newest_at = None if newest is None else NOW + timedelta(minutes=newest)
    assert due_at(by, newest_at, NOW) == NOW + timedelta(minutes=due)


@pytest.mark.parametrize(
    ("wait", "interval", "stored", "used"),
    [
        (0, 5, None, None),
        (0, 5, -60, -60),
        (0, 5, 5, 5),
        (0, 5, 60, 5),  # the clock was set back by an hour: not later than the route allows
        (10, 5, 60, 10),
    ],
)
def test_a_clock_that_was_set_back_holds_no_alert_back_for_long(
    wait: int, interval: int, stored: int | None, used: int | None
) -> None:
    by = route(group_wait=timedelta(minutes=wait), group_interval=timedelta(minutes=interval))
    stored_at = None if stored is None else NOW + timedelta(minutes=stored)
    assert plausible_time(by, stored_at, NOW) == (None if used is None else NOW + timedelta(minutes=used))


@pytest.mark.parametrize(
    ("group_by", "changed", "is_same_group"),
    [
        (("customer",), {"job": "files"}, True),
        (("customer",), {"customer": "Beech Legal"}, False),
        (("customer", "job"), {"job": "files"}, False),
        (("label:site",), {"customer": "Beech Legal"}, True),
        (("label:site",), {"label:site": "south"}, False),
        (("label:missing",), {"job": "files"}, True),  # a label that does not exist is the empty text
        ((), {"customer": "Beech Legal", "job": "files"}, True),
    ],
)
def test_alerts_that_agree_in_the_fields_of_group_by_are_one_group(
    group_by: tuple[str, ...], changed: dict[str, str], is_same_group: bool
) -> None:
    by = route(group_by=group_by)
    assert (group_of(by, FACTS) == group_of(by, {**FACTS, **changed})) is is_same_group


def test_the_same_alert_is_in_another_group_under_another_route() -> None:
    assert group_of(route("a"), FACTS) != group_of(route("b"), FACTS)


def test_critical_alerts_of_an_agent_that_flaps_are_sent_at_once_up_to_a_bound() -> None:
    """One each second, as from a job that fails critically and succeeds by turns."""
    by = route(group_interval=timedelta(minutes=5))
    full_at, at_once = None, []
    for second in range(3600):
        is_at_once, full_at = critical_full_at(by, full_at, NOW + timedelta(seconds=second))
        at_once.append(is_at_once)
    assert all(at_once[:CRITICAL_AT_ONCE])
    assert sum(at_once) <= CRITICAL_AT_ONCE * (3600 / 300 + 1) + 1
    assert critical_full_at(by, full_at, NOW + timedelta(hours=2))[0]


def test_the_critical_alerts_of_other_agents_and_customers_are_counted_apart() -> None:
    by = route()
    groups = {critical_group_of(by, customer, agent) for customer in ("cus_1", "cus_2") for agent in ("agt_1", "agt_2")}
    assert len(groups) == 4
