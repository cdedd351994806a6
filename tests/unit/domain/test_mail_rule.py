"""What the glob of a mail rule matches; property-tested, because an administrator writes the glob and anybody the subject."""

import time
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.event import RunOutcome
from app.domain.mail_rule import MailRule, ToolText, stars_of


def test_the_job_is_named_by_what_the_stars_match():
    rule = MailRule("mrl_1", "*job * FAILED*", RunOutcome.FAILURE, job="{2} on {1}")
    stars = rule.read(ToolText("nas01: Job Nightly failed at 02:00"))
    assert stars == ["nas01: ", "Nightly", " at 02:00"]
    assert rule.job_of(stars) == "Nightly on nas01:"


@pytest.mark.parametrize(
    ("subject", "sender", "body", "stars"),
    [
        ("* failed", None, None, ["Nightly"]),
        (None, "*@nas01", None, ["tool"]),
        (None, None, "*disk * is full*", ["Error: ", "sdb1", ". See the log."]),
        ("nightly *", "TOOL@NAS01", "*disk sdb1*", ["failed", "Error: ", " is full. See the log."]),
        ("* failed", "*@nas02", None, None),
        ("* failed", None, "*disk sdc1*", None),
    ],
)
def test_every_glob_that_is_set_must_match(
    subject: str | None, sender: str | None, body: str | None, stars: list[str] | None
):
    rule = MailRule("mrl_1", subject, RunOutcome.FAILURE, sender=sender, body=body)
    text = ToolText("Nightly failed", "tool@nas01", "Error: disk sdb1\r\nis full.\r\n\r\nSee  the log.\r\n")
    assert rule.read(text) == stars


TAUGHT = MailRule("mrl_1", "* sets rotated", RunOutcome.SUCCESS, taught_from=RunOutcome.UNCLEAR)


@pytest.mark.parametrize(
    ("subject", "holds"),
    [
        ("12 sets rotated", True),
        ("1,204 SETS rotated", True),
        ("no sets rotated", False),
        ("0 sets rotated", False),
        ("3 failed, 12 sets rotated", False),
    ],
)
def test_a_rule_that_was_taught_holds_for_other_figures_only(subject: str, holds: bool):
    assert (TAUGHT.read(ToolText(subject)) is not None) is holds


@pytest.mark.parametrize(
    ("rule", "read_as", "holds"),
    [
        (TAUGHT, RunOutcome.UNCLEAR, True),
        (TAUGHT, RunOutcome.SUCCESS, True),
        (TAUGHT, RunOutcome.FAILURE, False),
        (TAUGHT, RunOutcome.CANCELLED, False),
        (replace(TAUGHT, taught_from=RunOutcome.FAILURE), RunOutcome.FAILURE, True),
        (replace(TAUGHT, outcome=RunOutcome.FAILURE), RunOutcome.SUCCESS, True),
        (replace(TAUGHT, taught_from=None), RunOutcome.FAILURE, True),
    ],
)
def test_a_success_that_was_taught_does_not_beat_a_suspicion(rule: MailRule, read_as: RunOutcome, holds: bool):
    assert rule.holds_against(read_as) is holds


def test_a_glob_without_stars_matches_the_whole_subject():
    assert stars_of("Backup failed", "backup FAILED") == []
    assert stars_of("Backup failed twice", "backup failed") is None


@given(
    st.lists(st.text(alphabet=st.characters(blacklist_characters="*"), max_size=8), min_size=1, max_size=5), st.data()
)
def test_a_text_that_was_built_from_a_glob_matches_it(parts: list[str], data: st.DataObject):
    fillings = data.draw(st.lists(st.text(max_size=8), min_size=len(parts) - 1, max_size=len(parts) - 1))
    text = parts[0] + "".join(filling + part for filling, part in zip(fillings, parts[1:], strict=True))
    found = stars_of(text, "*".join(parts))
    assert found is not None
    assert len(found) == len(parts) - 1


@given(st.text(max_size=200), st.text(max_size=50))
def test_any_text_and_any_glob_are_read_without_an_error(text: str, glob: str):
    found = stars_of(text, glob)
    assert found is None or len(found) == glob.count("*")


def test_a_text_made_to_be_slow_is_answered_at_once():
    begun = time.process_time()
    assert stars_of("a" * 1000, "*a*a*a*a*a*a*a*a*b") is None
    assert time.process_time() - begun < 1
