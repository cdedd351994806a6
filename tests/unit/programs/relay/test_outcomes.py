"""Holds the tables of codes to what docs/mapi.md promises, and that every verdict survives the pipe."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from programs.relay.conversation import BadLine, ChildOrder, SendPhase, as_line, read_line
from programs.relay.outcomes import HRESULTS, MapiError, RelayOutcome, RelayVerdict, verdict_of_error

CONFIGURATION = {RelayOutcome.LOGON_FAILED, RelayOutcome.PROFILE_MISSING, RelayOutcome.INCOMPATIBLE_CLIENT}
MESSAGE = {RelayOutcome.BAD_MESSAGE, RelayOutcome.BAD_RECIPIENT}


@pytest.mark.parametrize("code", [0x8004010B, 0x8004010E, 0x80040112, 0x80040115, 0x80040401, 0x80040500])
def test_extended_codes_worth_a_retry(code):
    assert verdict_of_error(MapiError(code, "SubmitMessage")).outcome == RelayOutcome.TRANSIENT


@pytest.mark.parametrize(
    "code", [0x8004010F, 0x80040111, 0x8004011C, 0x8004011D, *range(0x80040120, 0x80040125), 0x80070005]
)
def test_extended_codes_of_configuration_at_logon(code):
    assert verdict_of_error(MapiError(code, "MAPILogonEx")).outcome in CONFIGURATION


@pytest.mark.parametrize("code", [0x80040607, 0x80040700])
def test_extended_codes_of_the_message(code):
    assert verdict_of_error(MapiError(code, "SubmitMessage")).outcome in MESSAGE


def test_already_submitted_is_a_doubt():
    assert verdict_of_error(MapiError(0x80040608, "SubmitMessage")).outcome == RelayOutcome.UNKNOWN


def test_an_hresult_may_be_signed_as_pywin32_returns_it():
    verdict = verdict_of_error(MapiError(0x80040111 - 2**32, "MAPILogonEx"))
    assert (verdict.outcome, verdict.evidence["hresult"]) == ("logon_failed", "0x80040111")


@given(st.integers(-(2**31), 2**32 - 1))
def test_every_code_has_an_outcome_and_a_sentence(code):
    verdict = verdict_of_error(MapiError(code, "a step"))
    assert verdict.reason.startswith("a step: ")
    assert RelayOutcome(verdict.outcome)


def test_names_stand_once_in_the_table():
    names = [name for name, _ in HRESULTS.values()]
    assert len(set(names)) == len(names)


@given(
    st.sampled_from(list(RelayOutcome)),
    st.text(max_size=50),
    st.dictionaries(st.text(max_size=5), st.one_of(st.integers(), st.text(max_size=9), st.booleans()), max_size=3),
    st.one_of(st.none(), st.sampled_from(list(RelayOutcome))),
)
def test_a_verdict_comes_through_the_pipe_as_it_was(outcome, reason, evidence, cause):
    verdict = RelayVerdict(outcome, reason, evidence, cause)
    assert read_line(as_line(verdict)) == verdict


@given(st.binary(max_size=64), st.binary(max_size=64))
def test_a_phase_comes_through_the_pipe_as_it_was(entryid, search_key):
    phase = SendPhase("created", entryid.hex(), search_key.hex())
    assert read_line(as_line(phase)) == phase


@given(st.binary(max_size=200), st.text(max_size=20), st.emails())
def test_an_order_comes_through_the_pipe_as_it_was(mime, profile, recipient):
    order = ChildOrder(mode="send", mime=mime, profile=profile, recipient=recipient, client={"name": "x"})
    assert ChildOrder.from_line(order.as_line()) == order


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"\xff",
        b"[]",
        b"{}",
        b'{"mode": "format"}',
        b'{"mode": "send", "run": "cmd"}',
        b'{"mode": "send", "mime": "!"}',
        b'{"mode": "send", "search_key": "zz"}',
        b'{"mode": "send", "drain": -1}',
        b'{"mode": "send", "profile": 5}',
        b'{"mode": "send", "recipient": ["a@b.c"]}',
        b"[" * 100_000,
    ],
)
def test_a_line_that_is_not_an_order_is_refused(line):
    with pytest.raises(BadLine):
        ChildOrder.from_line(line)


@given(st.one_of(st.binary(max_size=100), st.from_regex(rb'\{"(phase|found|verdict)": .{0,30}\}', fullmatch=True)))
def test_a_line_of_a_child_is_understood_or_refused(line):
    try:
        line_read = read_line(line)
    except BadLine:
        return
    assert isinstance(line_read, (SendPhase, dict, RelayVerdict))
