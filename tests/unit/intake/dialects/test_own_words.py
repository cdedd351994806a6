"""What tools say in their own words, as one table: case, tool, request, body, what it was read as before, and what it is read as now.

`before` is how version 0.1.0 read the request; `plain` is a message that changes nothing. Of several events, the worst counts.
"""

import csv
import importlib
import json
from pathlib import Path
from urllib.parse import parse_qsl

import pytest

from app.intake.accept import run_dialect
from app.intake.dialects.tool_request import ToolRequest
from app.intake.parse import WireEvent

TABLE = Path(__file__).parent / "own_words.tsv"
WORST_FIRST = ["failure", "warning", "cancelled", "unclear", "success", "started", "progress", "plain"]
MODULES = {"uptime-kuma": "uptime_kuma", "sentry": "sentry_cron"}
# Tools whose addresses hold a key of one job.
OF_ONE_JOB = {"healthchecks", "uptime-kuma", "cronhub", "sentry", "borg", "restic", "gotify", "pushover", "apprise"}


def rows() -> list[dict[str, str]]:
    with TABLE.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE, strict=True))


def outcome_of(event: WireEvent) -> str:
    by_severity = {"critical": "failure", "error": "failure"}.get(event.get("severity") or "", "plain")
    return event.get("outcome") or event.get("phase") or by_severity


@pytest.mark.parametrize("row", rows(), ids=lambda row: row["case"])
def test_a_tool_is_read_as_the_table_says(row: dict[str, str]):
    path, _, query = row["request"].partition("?")
    request = ToolRequest(
        path=tuple(part for part in path.split("/") if part),
        query=parse_qsl(query, keep_blank_values=True),
        body=json.loads(row["body"]).encode(),
        job="daily" if row["tool"] in OF_ONE_JOB else None,
    )
    dialect = importlib.import_module(f"app.intake.dialects.{MODULES.get(row['tool'], row['tool'])}")
    found = run_dialect(row["tool"], dialect.read, request)
    assert min(map(outcome_of, found), key=WORST_FIRST.index) == row["now"]


def test_nothing_in_the_table_that_was_read_as_good_is_so_without_proof():
    changed = [row for row in rows() if row["before"] == "success" != row["now"]]
    assert len(changed) > 40
    assert {row["now"] for row in changed} <= {"failure", "warning", "cancelled", "unclear"}
