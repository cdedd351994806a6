"""What becomes of a mail at each of the misbehaving servers of smtp_scenarios.tsv, which also says what became of it before."""

import csv
from pathlib import Path

import pytest

from tests.support.smtp_scenarios import SCENARIOS, Scenario, play

TABLE = Path(__file__).with_name("smtp_scenarios.tsv")


def now_by_name() -> dict[str, str]:
    with TABLE.open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    return {name: now for name, _before, now in rows[1:]}


@pytest.mark.parametrize("scenario", SCENARIOS, ids=[scenario.name[:60] for scenario in SCENARIOS])
async def test_what_becomes_of_a_mail_is_as_the_table_says(scenario: Scenario):
    assert await play(scenario) == now_by_name()[scenario.name]


def test_the_table_has_exactly_the_scenarios():
    assert list(now_by_name()) == [scenario.name for scenario in SCENARIOS]
