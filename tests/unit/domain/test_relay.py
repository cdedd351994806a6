"""What opens the circuit breaker of a relay, what closes it, and when a probe may go: one row a case."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain import relay as rules
from app.domain.relay import Relay

NOW = datetime(2026, 11, 26, 3, 0, tzinfo=UTC)
WELL = Relay("rly_1", "cus_1", "mail01", NOW - timedelta(days=1), seen_at=NOW)
LATER = timedelta(minutes=5)


def failed(*outcomes: str, relay: Relay = WELL, now: datetime = NOW) -> Relay:
    """Return the relay after receipts with these outcomes, one after the other."""
    for outcome in outcomes:
        relay = rules.after_failure(relay, frozenset({outcome}), "so the relay reported", now)
    return relay


def examined(relay: Relay, state: str = "ok", *, answers_request: bool = True) -> Relay:
    """Return the relay with a heartbeat whose doctor found this."""
    asked = relay.doctor_asked_at or NOW
    answers = asked.isoformat() if answers_request else (asked - LATER).isoformat()
    return replace(relay, heartbeat={"answers": answers, "doctor": [{"name": "logon", "state": state}]})


@pytest.mark.parametrize(
    ("outcomes", "is_paused", "opened_by"),
    [
        (["stuck"], False, "stuck"),
        (["logon_failed"], False, "logon_failed"),
        (["profile_missing"], False, "profile_missing"),
        (["incompatible_client"], False, "incompatible_client"),
        (["not_tight"], False, "not_tight"),
        (["bitness"], False, "bitness"),
        (["timeout"], False, None),
        (["timeout", "timeout"], False, None),
        (["timeout", "timeout", "timeout"], False, "timeout"),
        (["timeout", "timeout", "transient", "timeout"], False, "timeout"),
        (["needs_ui"], True, None),
        (["transient", "unknown", "bad_recipient", "bad_message"], False, None),
        (["stuck", "logon_failed"], False, "stuck"),
        (["logon_failed", "stuck"], False, "stuck"),
    ],
)
def test_what_keeps_a_relay_from_sending(outcomes: list[str], is_paused: bool, opened_by: str | None) -> None:
    relay = failed(*outcomes)
    assert (relay.paused_at is not None, relay.broken_by) == (is_paused, opened_by)
    assert rules.may_send(relay, NOW) is not (is_paused or opened_by is not None)


@pytest.mark.parametrize(
    ("outcomes", "doctor_lifts", "a_sent_message_lifts"),
    [
        (["needs_ui"], False, False),
        (["stuck"], False, True),
        (["stuck", "logon_failed"], False, True),
        (["logon_failed"], True, True),
        (["profile_missing"], True, True),
        (["incompatible_client"], True, True),
        (["not_tight"], True, True),
        (["bitness"], True, True),
        (["timeout"] * 3, True, True),
    ],
)
def test_what_lets_it_send_again(outcomes: list[str], doctor_lifts: bool, a_sent_message_lifts: bool) -> None:
    relay = failed(*outcomes)
    soon = NOW + timedelta(seconds=40)  # before a probe is due, but the doctor has answered
    assert rules.may_send(rules.after_doctor(examined(relay), soon), soon) is doctor_lifts
    assert not rules.may_send(rules.after_doctor(examined(relay, "fail"), soon), soon), "the doctor finds it ill"
    old = examined(relay, answers_request=False)
    assert not rules.may_send(rules.after_doctor(old, soon), soon), "a report from before the failure"
    assert rules.may_send(rules.after_sent(relay), soon) is a_sent_message_lifts
    assert rules.may_send(rules.after_resume(relay, soon), soon), "a person always may"


def test_a_doctor_that_is_content_with_a_host_that_fails_is_believed_only_when_a_probe_is_due() -> None:
    once = rules.after_doctor(examined(failed("logon_failed")), NOW)
    assert once.broken_at is None
    twice = examined(failed("logon_failed", relay=once))
    assert rules.after_doctor(twice, NOW).broken_at is not None
    assert rules.after_doctor(twice, NOW + timedelta(minutes=2)).broken_at is None


def test_one_probe_at_a_time_and_each_failure_waits_longer() -> None:
    relay, now, waits = failed("stuck"), NOW, []
    for _ in range(9):
        assert relay.probe_at is not None
        waits.append((relay.probe_at - now).total_seconds() / 60)
        assert not rules.is_probe_due(relay, relay.probe_at - timedelta(seconds=1))
        now = relay.probe_at
        assert rules.is_probe_due(relay, now)
        relay = rules.probing(relay, now)
        assert not rules.is_probe_due(relay, now + LATER), "the probe is on its way"
        relay = failed("stuck", relay=relay, now=now)
    assert waits == [1, 2, 5, 10, 20, 30, 60, 60, 60]
    assert relay.broken_at == NOW, "since when it cannot send"


@given(st.lists(st.sampled_from([*rules.DOCTOR_CURES, "stuck", "needs_ui", "transient", "sent", "doctor", "resume"])))
def test_in_any_order_only_a_person_ends_a_pause_and_a_sent_message_always_closes_the_breaker(steps: list[str]) -> None:
    relay, now, was_shown = WELL, NOW, False
    for step in steps:
        now += timedelta(seconds=10)
        if step == "sent":
            relay = rules.after_sent(relay)
            assert (relay.broken_at, relay.failures, relay.timeouts) == (None, 0, 0)
        elif step == "doctor":
            relay = rules.after_doctor(examined(relay), now)
        elif step == "resume":
            relay, was_shown = rules.after_resume(relay, now), False
            assert rules.may_send(relay, now)
        else:
            relay = failed(step, relay=relay, now=now)
            was_shown = was_shown or step == "needs_ui"
        assert (relay.paused_at is not None) is was_shown
        assert (relay.broken_at is None) is (relay.probe_at is None) is (relay.broken_by is None)


@pytest.mark.parametrize(("seconds", "is_jammed"), [(1, False), (30, False), (31, True)])
def test_nothing_waits_behind_a_message_that_takes_long(seconds: int, is_jammed: bool) -> None:
    assert (rules.jam_of(WELL, NOW - timedelta(seconds=seconds), NOW) is not None) is is_jammed
    assert rules.jam_of(WELL, None, NOW) is None
