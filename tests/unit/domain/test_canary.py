"""When a canary is due, when it is lost, and what its headers tell; one row a case, and the same over any run of days."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.canary import (
    AGAIN_AFTER,
    Canary,
    CanaryState,
    Lookout,
    Way,
    day_of,
    fingerprint_of,
    hops_of,
    occasion_for,
    why_lost,
)
from app.domain.message import MessageState

NOW = datetime(2026, 11, 26, 12, 0, tzinfo=UTC)
TODAY = date(2026, 11, 26)
MINUTE = timedelta(minutes=1)
WAY = Way("smtp", "smtp", "cus_1", "f1")
DAILY = f"{TODAY} f1"
WAITING, ARRIVED, LOST = CanaryState.WAITING, CanaryState.ARRIVED, CanaryState.LOST
SENT = MessageState.SENT


def canary(state: CanaryState = WAITING, sent: timedelta = timedelta(hours=3), lost: timedelta | None = None) -> Canary:
    return Canary(
        "cny_1", "cus_1", "smtp", "", "smtp", TODAY, "f1", DAILY, "msg_1", NOW - sent,
        state=state, lost_at=None if lost is None else NOW - lost,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("todays", "newest", "occasion"),
    [
        pytest.param(None, None, DAILY, id="the first of all"),
        pytest.param(None, canary(ARRIVED), DAILY, id="a new day, or other settings"),
        pytest.param(None, canary(LOST, lost=MINUTE), DAILY, id="other settings after a loss: at once"),
        pytest.param(None, canary(sent=MINUTE), None, id="settings that change again within five minutes"),
        pytest.param(None, canary(sent=-MINUTE), DAILY, id="the clock was put back"),
        pytest.param(canary(), canary(), None, id="today's is on its way"),
        pytest.param(canary(ARRIVED), canary(ARRIVED), None, id="today's arrived"),
        pytest.param(canary(LOST, lost=MINUTE), canary(LOST, lost=MINUTE), None, id="just lost"),
        pytest.param(canary(LOST, lost=AGAIN_AFTER), canary(LOST), "after cny_1", id="lost an hour ago"),
    ],
)
def test_a_canary_is_due(todays: Canary | None, newest: Canary | None, occasion: str | None):
    assert occasion_for(WAY, TODAY, todays, newest, NOW) == occasion


QUARTER = timedelta(minutes=15)


@pytest.mark.parametrize(
    ("sent", "seen", "why"),
    [
        pytest.param(15 * MINUTE, {"message": SENT}, None, id="15 min are not over"),
        pytest.param(
            16 * MINUTE,
            {"message": SENT, "settled": "250 queued as A1"},
            "it did not arrive within 15 min, although smtp accepted it (250 queued as A1)",
            id="accepted and gone",
        ),
        pytest.param(
            16 * MINUTE,
            {"message": MessageState.QUEUED, "settled": "421 busy"},
            "it did not leave within 15 min (421 busy)",
            id="refused for now",
        ),
        pytest.param(16 * MINUTE, {"message": None}, "it did not leave within 15 min", id="its message was deleted"),
        pytest.param(
            MINUTE,
            {"message": MessageState.DEAD, "settled": "550 no such user"},
            "it could not be sent (550 no such user)",
            id="refused for good: at once",
        ),
        pytest.param(
            MINUTE,
            {"message": MessageState.BOUNCED, "settled": "came back: 550 5.7.1 spam"},
            "it was sent and not delivered (came back: 550 5.7.1 spam)",
            id="came back: at once",
        ),
        pytest.param(
            5 * 60 * MINUTE,
            {"message": SENT, "listening_since": NOW - MINUTE},
            None,
            id="we were down for hours and may find it",
        ),
        pytest.param(
            5 * 60 * MINUTE,
            {"message": SENT, "listening_since": NOW - 16 * MINUTE},
            "it did not arrive within 15 min, although smtp accepted it",
            id="we were down, and looked again long enough",
        ),
        pytest.param(
            20 * MINUTE,
            {"message": SENT, "has_mailbox": True, "read_at": NOW - 6 * MINUTE},
            None,
            id="it may lie unread in the mailbox",
        ),
        pytest.param(
            20 * MINUTE,
            {"message": SENT, "has_mailbox": True, "read_at": NOW - 4 * MINUTE},
            "it did not arrive within 15 min, although smtp accepted it",
            id="the mailbox was read in vain",
        ),
        pytest.param(
            76 * MINUTE,
            {"message": SENT, "has_mailbox": True, "read_at": NOW - 70 * MINUTE},
            "the mailbox in which it should arrive could not be read since 2026-11-26 10:50 UTC",
            id="the mailbox cannot be read for an hour",
        ),
        pytest.param(
            76 * MINUTE,
            {"message": SENT, "has_mailbox": True},
            "the mailbox in which it should arrive could not be read so far",
            id="the mailbox could never be read",
        ),
    ],
)
def test_a_canary_is_lost(sent: timedelta, seen: dict, why: str | None):
    assert why_lost(canary(sent=sent), Lookout(NOW, QUARTER, **seen)) == why


def test_hops_are_read_from_the_first_server_to_the_last():
    received = [
        "from relay.example.org by mx.example.org with ESMTPS id 9; Thu, 26 Nov 2026 13:00:05 +0100 (CET)",
        "from host (host [10.0.0.1])\r\n\tby relay.example.org (Postfix) with ESMTP id 7;\r\n\tThu, 26 Nov 2026 12:00:01 +0000",
    ]
    hops = hops_of(received)
    assert [hop.by for hop in hops] == ["relay.example.org", "mx.example.org"]
    assert [hop.at for hop in hops] == [NOW + timedelta(seconds=1), NOW + timedelta(seconds=5)]


@pytest.mark.parametrize(
    ("header", "by", "at"),
    [
        ("from a by mx.example.org with LMTP id 2", "mx.example.org", None),
        ("by mx.example.org; no date", "mx.example.org", None),
        ("by mx.example.org (envelope; odd); Thu, 26 Nov 2026 12:00:00 +0000", "mx.example.org", NOW),
        ("from a; Thu, 26 Nov 2026 12:00:00 -0000", "unknown", NOW),
        ("by", "unknown", None),
        ("", "unknown", None),
    ],
)
def test_an_odd_header_tells_what_it_can(header: str, by: str, at: datetime | None):
    (hop,) = hops_of([header])
    assert (hop.by, hop.at) == (by, at)


@given(st.lists(st.text(max_size=300) | st.from_regex(r"by \S+; .{0,40}"), max_size=40))
def test_no_header_breaks_or_grows_what_is_kept(received: list[str]):
    hops = hops_of(received)
    assert len(hops) <= 20
    for hop in hops:
        assert 0 < len(hop.by) <= 100
        assert hop.by.isprintable()
        assert hop.at is None or hop.at.tzinfo is UTC


@settings(max_examples=30)  # each walks three weeks
@given(
    st.sampled_from(
        ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Pacific/Apia", "Asia/Kolkata"]
    ),
    st.integers(0, 365 * 24 * 60),
    st.integers(0, 59),
)
def test_there_is_one_canary_a_day_in_any_zone_and_season(zone: str, start: int, minute: int):
    """Walk through three weeks in steps of ten minutes, also over changes of the clocks."""
    sent: list[Canary] = []
    occasions: set[str] = set()
    for step in range(21 * 24 * 6):
        now = NOW + (start + step * 10) * MINUTE
        day = day_of(now, zone, minute)
        todays = next((it for it in reversed(sent) if it.day == day), None)
        occasion = occasion_for(WAY, day, todays, sent[-1] if sent else None, now)
        if occasion is not None:
            assert occasion not in occasions, "a unique key would refuse it"
            occasions.add(occasion)
            sent.append(Canary(str(step), "c", "smtp", "", "smtp", day, "f1", occasion, "m", now, state=ARRIVED))
    assert 21 <= len(sent) <= 22
    gaps = [later.sent_at - one.sent_at for one, later in pairwise(sent[1:])]
    assert all(timedelta(hours=22) <= gap <= timedelta(hours=26) for gap in gaps)
    for it in sent[1:]:
        local = it.sent_at.astimezone(ZoneInfo(zone))
        assert (
            local.hour in (5, 6)
            or local.utcoffset() != (it.sent_at - timedelta(days=1)).astimezone(ZoneInfo(zone)).utcoffset()
        )


@given(st.dictionaries(st.text(max_size=20), st.text(max_size=20), max_size=6), st.text(min_size=1), st.text())
def test_a_fingerprint_changes_with_each_fact_and_shows_none(facts: dict[str, str], name: str, value: str):
    one = fingerprint_of(b"secret", facts)
    assert one == fingerprint_of(b"secret", dict(reversed(facts.items())))
    assert (fingerprint_of(b"secret", {**facts, name: value}) == one) == (facts.get(name) == value)
    assert fingerprint_of(b"another", facts) != one
    assert len(one) == 32
