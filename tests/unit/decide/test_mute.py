"""Which silences mute an alert of the job `nightly-sql` of the agent `nas01` of a customer, labelled site=north."""

import pytest

from app.decide.mute import mute_reason, muting_silence
from app.domain.route import Silence
from tests.support.decide_cases import FACTS, later, silence


@pytest.mark.parametrize(
    ("name", "silences", "muted_by"),
    [
        ("no silence", [], None),
        ("one without conditions", [silence()], "sil_1"),
        ("one for the job", [silence("job is nightly-sql")], "sil_1"),
        ("one for another job", [silence("job is files")], None),
        ("one whose conditions are met only in part", [silence("job is nightly-sql", "label:site is south")], None),
        ("one for this customer", [silence(customer_id="cus_1")], "sil_1"),
        ("one for another customer", [silence(customer_id="cus_2")], None),
        ("two: the one that ends last", [silence(), silence(id="sil_2", ends_at=later(days=1))], "sil_2"),
        ("two, of which one matches", [silence(), silence("job is files", id="sil_2", ends_at=later(days=1))], "sil_1"),
    ],
)
def test_a_silence_mutes_what_it_matches(name: str, silences: list[Silence], muted_by: str | None) -> None:
    found = muting_silence("cus_1", FACTS, silences)
    assert (found.id if found else None) == muted_by, name


@pytest.mark.parametrize(
    ("comment", "reason"),
    [
        ("new disks", "silenced until 2026-03-04 09:00 UTC by Robin: new disks (sil_1)"),
        ("", "silenced until 2026-03-04 09:00 UTC by Robin (sil_1)"),
    ],
)
def test_the_reason_names_the_silence(comment: str, reason: str) -> None:
    assert mute_reason(silence(comment=comment)) == reason
