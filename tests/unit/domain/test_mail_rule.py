"""What a mail rule's glob stands for: property-tested, for an admin writes the glob and anybody the subject."""

import time

from hypothesis import given
from hypothesis import strategies as st

from app.domain.event import RunOutcome
from app.domain.mail_rule import MailRule, stars_of


def test_the_job_is_named_by_what_the_stars_stand_for():
    rule = MailRule("mrl_1", "*job * FAILED*", RunOutcome.FAILURE, job="{2} on {1}")
    stars = rule.read("nas01: Job Nightly failed at 02:00")
    assert stars == ["nas01: ", "Nightly", " at 02:00"]
    assert rule.job_of(stars) == "Nightly on nas01:"


def test_a_subject_without_stars_is_meant_whole():
    assert stars_of("Backup failed", "backup FAILED") == []
    assert stars_of("Backup failed twice", "backup failed") is None


@given(
    st.lists(st.text(alphabet=st.characters(blacklist_characters="*"), max_size=8), min_size=1, max_size=5), st.data()
)
def test_what_was_put_together_by_a_glob_is_like_it(parts: list[str], data: st.DataObject):
    fillings = data.draw(st.lists(st.text(max_size=8), min_size=len(parts) - 1, max_size=len(parts) - 1))
    text = parts[0] + "".join(filling + part for filling, part in zip(fillings, parts[1:], strict=True))
    found = stars_of(text, "*".join(parts))
    assert found is not None
    assert len(found) == len(parts) - 1


@given(st.text(max_size=200), st.text(max_size=50))
def test_anything_can_be_asked(text: str, glob: str):
    found = stars_of(text, glob)
    assert found is None or len(found) == glob.count("*")


def test_a_nasty_pair_is_answered_at_once():
    begun = time.process_time()
    assert stars_of("a" * 1000, "*a*a*a*a*a*a*a*a*b") is None
    assert time.process_time() - begun < 1
