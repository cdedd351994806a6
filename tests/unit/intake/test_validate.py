"""The rules for an event's fields: allowed words, limits, and the key."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.errors import BadInput
from app.intake.validate import Sender, resolve_agent_name, validate_event
from app.store.intake import NewEvent

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


def validated(now: datetime = NOW, **event: Any) -> NewEvent:
    return validate_event(event, "cus_1", "agt_1", "sql01", now, 1024)  # type: ignore[arg-type]


def refusal(**event: Any) -> tuple[str, str | None]:
    with pytest.raises(BadInput) as refused:
        validated(**event)
    return refused.value.code, refused.value.field


def flags(row: NewEvent) -> list[str]:
    return json.loads(row.flags or "[]")


def test_an_empty_event_is_a_plain_message_about_a_backup():
    row = validated()
    assert (row.activity, row.phase, row.outcome, row.severity, row.job, row.flags) == (
        "backup",
        None,
        None,
        "info",
        None,
        None,
    )
    assert (row.occurred_at, row.received_at) == (NOW, NOW)


def test_allowed_words_are_accepted_in_any_case():
    row = validated(activity="Verify", phase=" FINISHED ", outcome="Failure", severity="CRITICAL")
    assert (row.activity, row.phase, row.outcome, row.severity) == ("verify", "finished", "failure", "critical")


@pytest.mark.parametrize(
    ("outcome", "severity"),
    [("failure", "error"), ("WARNING", "warning"), ("success", "info"), ("cancelled", "info"), (None, "info")],
)
def test_the_severity_follows_the_outcome(outcome: str | None, severity: str):
    assert validated(outcome=outcome).severity == severity


@pytest.mark.parametrize("field", ["activity", "phase", "severity"])
def test_an_unknown_word_next_to_an_outcome_does_not_cost_it(field: str):
    row = validated(outcome="failure", **{field: "kaput"})
    assert (row.outcome, flags(row)) == ("failure", [f"unknown_{field}"])


@pytest.mark.parametrize(
    ("word", "outcome"),
    [("failed", "failure"), ("ERROR", "failure"), ("partial", "warning"), ("canceled", "cancelled"), ("ok", "unclear"),
     ("succeeded", "unclear"), ("as usual", "unclear"), ("1", "unclear"), ("missed", "failure"), ("Superseded", "failure")],
)  # fmt: skip
def test_an_unknown_outcome_may_be_trouble_and_is_never_a_success(word: str, outcome: str):
    row = validated(outcome=word)
    assert (row.outcome, flags(row)) == (outcome, ["unknown_outcome"])


@pytest.mark.parametrize("event", [{"phase": "finished"}, {"phase": "done"}, {"severity": "fatal"}])
def test_an_end_that_does_not_say_how_is_unclear(event: dict[str, str]):
    assert validated(**event).outcome == "unclear"
    assert validated(phase="finished", severity="info").outcome is None  # its severity says how


@pytest.mark.parametrize("field", ["key", "job", "run"])
def test_a_name_that_is_too_long_keeps_its_beginning_and_stays_different_from_others(field: str):
    one, other = validated(**{field: "x" * 201}), validated(**{field: "x" * 202})
    assert len(getattr(one, field)) == 200
    assert getattr(one, field) != getattr(other, field)
    assert flags(one) == ["name_cut"]
    assert getattr(validated(**{field: "ü" * 200}), field) == "ü" * 200


def test_a_name_becomes_one_line_and_an_empty_one_none():
    assert validated(job=" nightly\r\nBcc: x ").job == "nightly Bcc: x"
    assert validated(job=" \n ").job is None


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("2026-11-23T02:10:00Z", datetime(2026, 11, 23, 2, 10, tzinfo=UTC)),
        ("2026-11-23t02:10:00z", datetime(2026, 11, 23, 2, 10, tzinfo=UTC)),
        ("2026-11-23 02:10:00+01:00", datetime(2026, 11, 23, 1, 10, tzinfo=UTC)),
        ("2026-11-23T02:10:00.123456789-05:30", datetime(2026, 11, 23, 7, 40, 0, 123456, tzinfo=UTC)),
        ("2016-12-31T23:59:60Z", datetime(2016, 12, 31, 23, 59, 59, tzinfo=UTC)),
    ],
)
def test_rfc_3339_times_are_parsed(text: str, at: datetime):
    assert validated(occurred_at=text).occurred_at == at


@pytest.mark.parametrize(
    ("text", "flag"),
    [("2026-11-23T02:10:00", "no_offset"), ("2026-11-23", "no_offset"), ("yesterday", "bad_time"), ("2026-13-01T00:00:00Z", "bad_time"),
     ("2026-11-23T25:00:00Z", "bad_time"), ("1e9", "bad_time"), ("NaN", "bad_time")],
)  # fmt: skip
def test_a_time_that_is_none_is_replaced_by_the_receipt_and_flagged(text: str, flag: str):
    row = validated(occurred_at=text, outcome="failure")
    assert (row.occurred_at, row.outcome, flags(row)) == (NOW, "failure", [flag])


@pytest.mark.parametrize(
    "text", ["1795399860", "1795399860.5", "1795399860000", "1795399860000000", "1795399860000000000"]
)
def test_a_unix_time_in_any_unit_is_used_and_flagged(text: str):
    row = validated(occurred_at=text)
    assert (row.occurred_at.replace(microsecond=0), flags(row)) == (
        datetime(2026, 11, 23, 2, 11, tzinfo=UTC),
        ["unix_time"],
    )


def test_a_time_from_a_wrong_clock_is_replaced_and_flagged():
    ahead = validated(occurred_at=(NOW + timedelta(hours=24, seconds=1)).isoformat())
    assert (ahead.occurred_at, flags(ahead)) == (NOW, ["clock_ahead"])
    near = validated(occurred_at=(NOW + timedelta(hours=24)).isoformat())
    assert (near.occurred_at, near.flags) == (NOW + timedelta(hours=24), None)
    for text in ("1970-01-01T00:00:07Z", "0001-01-01T00:00:00+14:00"):
        assert (validated(occurred_at=text).occurred_at, flags(validated(occurred_at=text))) == (NOW, ["clock_behind"])
    assert flags(validated(occurred_at="9999-12-31T23:59:59-14:00")) == ["clock_ahead"]


def test_a_long_message_is_shortened_and_flagged():
    row = validated(message="ü" * 4096)
    assert (row.message, flags(row)) == ("ü" * 2048, ["message_cut"])


def test_a_long_log_keeps_head_and_tail():
    row = validated(log="first line\n" + "x" * 5000 + "\nlast line")
    assert row.log is not None
    assert row.log.startswith("first line\n")
    assert row.log.endswith("\nlast line")
    assert "bytes left out" in row.log
    assert flags(row) == ["log_cut"]


def test_metrics_are_numbers_and_limited():
    assert json.loads(validated(metrics={"bytes_stored": 12.0, "duration_s": 1.5}).metrics or "") == {
        "bytes_stored": 12,
        "duration_s": 1.5,
    }
    assert '"bytes_stored":12,' in (validated(metrics={"bytes_stored": 12.0, "duration_s": 1.5}).metrics or "")
    many = validated(metrics={str(n): 1.0 for n in range(101)})
    assert (len(json.loads(many.metrics or "")), flags(many)) == (100, ["metrics_cut"])
    assert flags(validated(metrics={"x" * 101: 1.0})) == ["metrics_cut"]


def test_labels_that_are_too_long_are_cut_and_flagged():
    assert json.loads(validated(labels={"site": "hq"}).labels or "") == {"site": "hq"}
    many = validated(labels={str(n): "" for n in range(65)})
    assert (len(json.loads(many.labels or "")), flags(many)) == (64, ["labels_cut"])
    assert flags(validated(labels={"x" * 101: ""})) == ["labels_cut"]
    long = validated(labels={"site": "x" * 501})
    assert (json.loads(long.labels or ""), flags(long)) == ({"site": "x" * 500}, ["labels_cut"])


def test_no_escape_of_a_terminal_is_stored():
    row = validated(job="\x1b[1mnightly\x1b[0m", message="\x1b[31mFAILED\x1b[0m", log="\x1b]0;t\x07x\x1b(B")
    assert (row.job, row.message, row.log) == ("nightly", "FAILED", "x")


def test_unknown_fields_are_kept_in_extra():
    row = validated(repository="b2:x", extra={"snapshot": "abc", "ratio": float("nan")})
    assert json.loads(row.extra or "") == {"repository": "b2:x", "snapshot": "abc", "ratio": None}
    assert json.loads(validated(extra="plain text").extra or "") == {"extra": "plain text"}


def test_extra_that_is_too_large_loses_its_last_fields():
    row = validated(first="kept", second="x" * 20_000, third="left out")
    assert (json.loads(row.extra or ""), flags(row)) == ({"first": "kept"}, ["extra_cut"])


def test_without_a_key_the_content_is_the_key():
    event = {
        "job": "nightly",
        "outcome": "failure",
        "occurred_at": "2026-11-23T02:10:00Z",
        "labels": {"a": "1", "b": "2"},
    }
    later = NOW + timedelta(minutes=5)
    assert validated(**event).key == validated(later, **event).key, "sent again, it is the same event"
    assert validated(**event | {"labels": {"b": "2", "a": "1"}}).key == validated(**event).key, "order means nothing"
    for change in (
        {"message": "x"},
        {"log": "x"},
        {"job": "other"},
        {"metrics": {"a": 1.0}},
        {"unknown": 1},
        {"run": "2"},
    ):
        assert validated(**event | change).key != validated(**event).key, f"{change} makes it another event"


def test_two_equal_events_without_key_and_time_stay_two():
    assert validated(NOW, job="nightly").key != validated(NOW + timedelta(microseconds=1), job="nightly").key


def test_an_agents_key_names_the_agent():
    own, enrol = Sender("cus_1", "agt_1", "sql01"), Sender("cus_1")
    assert (
        resolve_agent_name({}, own)
        == resolve_agent_name({"agent": "sql01"}, own)
        == resolve_agent_name({"agent": " sql01 "}, enrol)
        == "sql01"
    )
    for event, sender, code in (
        ({"agent": "ex02"}, own, "agent_mismatch"),
        ({}, enrol, "agent_missing"),
        ({"agent": " "}, enrol, "agent_missing"),
    ):
        with pytest.raises(BadInput) as refused:
            resolve_agent_name(event, sender)  # type: ignore[arg-type]
        assert refused.value.code == code


texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=300)


@given(
    st.dictionaries(
        st.sampled_from(
            ["key", "job", "run", "activity", "phase", "outcome", "severity", "occurred_at", "message", "log"]
        ),
        texts,
    )
)
def test_any_text_in_any_field_is_accepted_or_refused(event: dict[str, str]):
    try:
        row = validated(**event)
    except BadInput:
        return
    assert row.occurred_at.tzinfo is UTC
    assert 1 <= len(row.key) <= 200
    assert len((row.message or "").encode()) <= 4096
    assert len((row.log or "").encode()) <= 1024
    assert "\n" not in (row.job or "")


@pytest.mark.parametrize(
    "mark", [*"\u061c\u200e\u200f\ufeff", *map(chr, range(0x202A, 0x202F)), *map(chr, range(0x2066, 0x2070))]
)
def test_a_name_loses_marks_that_reverse_its_text(mark: str):
    row = validated(job=f"nas{mark}10", run=f"{mark}5", agent=f"sql{mark}01")
    assert (row.job, row.run) == ("nas10", "5")
    assert resolve_agent_name({"agent": f"sql{mark}01"}, Sender("cus_1")) == "sql01"


def test_a_name_keeps_joiners_that_its_script_or_emoji_needs():
    family, hebrew = "\U0001f468\u200d\U0001f469\u200d\U0001f467", "\u05d2\u05d9\u05d1\u05d5\u05d9"
    assert validated(job=f"{family} \u200f{hebrew}\u200f").job == f"{family} {hebrew}"


@pytest.mark.parametrize(
    ("agent", "job", "expected"),
    [
        ("Tocsin", "mail by smtp", "Tocsin (reported)"),
        ("\u200bTocsin ", "reports under the key Acme (abcd…)", "Tocsin (reported)"),
        ("Tocsin", None, "Tocsin (reported)"),
        ("relay mailhost", "mail relay", "relay mailhost (reported)"),
        ("relay mailhost", "nightly", "relay mailhost"),
        ("tocsin01", "nightly", "tocsin01"),
    ],
)
def test_no_sender_reports_in_our_name(agent: str, job: str | None, expected: str):
    """Or it could close the alerts about its own flood, and about mail that does not arrive."""
    assert resolve_agent_name({"agent": agent} | ({"job": job} if job else {}), Sender("cus_1")) == expected
