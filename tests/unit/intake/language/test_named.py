"""The kinds of text that were read wrongly before: what each was read as, and what it is read as now."""

import csv
from pathlib import Path

import pytest

from app.intake.language.reader import read_words

with (Path(__file__).parent / "named.tsv").open(encoding="utf-8", newline="") as file:
    CASES = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))


@pytest.mark.parametrize("case", CASES, ids=[case["subject"][:60] for case in CASES])
def test_a_text_is_read_as_the_table_says(case: dict[str, str]):
    assert read_words(case["subject"], case["body"]).meaning == case["now"]
