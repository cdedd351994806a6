"""Lists as CSV and NDJSON: whole, by the same filters and keys as the list, and safe to open in a spreadsheet."""

import asyncio
import csv
import io
import json
from pathlib import Path

import pytest
from starlette.types import Message, Send

from app.http.exports import ListExport, _cell
from tests.flow.http.test_status import decide_all
from tests.support.api import Api, serving

EVENT = {"agent": "nas01", "outcome": "failure"}
FORMULA = '=HYPERLINK("http://evil.example","x")'


async def filled(api: Api, jobs: int = 3) -> None:
    await api.report(*({**EVENT, "job": f"j{number}"} for number in range(jobs - 1)))
    await api.report({**EVENT, "job": FORMULA, "message": '-1 files,\n"quoted" ä', "labels": {"site": "@hq"}})
    await decide_all(api)


async def test_a_list_is_whole_in_csv_and_its_cells_are_no_formulas(database_url: str, tmp_path: Path):
    async with serving(database_url, tmp_path) as api:
        await filled(api, jobs=250)
        answer = await api.ask("GET", "/v1/jobs", params={"format": "csv", "limit": "1"})
        assert answer.headers["content-type"] == "text/csv; charset=utf-8"
        assert answer.headers["content-disposition"] == 'attachment; filename="jobs.csv"'
        rows = list(csv.DictReader(io.StringIO(answer.text, newline="")))
        assert len(rows) == 250
        [evil] = [row for row in rows if "HYPERLINK" in row["name"]]
        assert evil["name"] == f"'{FORMULA}"
        assert evil["last_message"] == '\'-1 files,\n"quoted" ä'
        assert (evil["failures_in_row"], evil["next_due_at"]) == ("1", "")
        assert json.loads(evil["labels"]) == {"site": "@hq"}


async def test_ndjson_has_what_the_pages_have_and_takes_the_same_filters(sqlite_database_url: str, tmp_path: Path):
    async with serving(sqlite_database_url, tmp_path) as api:
        await filled(api)
        answer = await api.ask("GET", "/v1/jobs", headers={"Accept": "application/x-ndjson"})
        assert answer.headers["content-type"] == "application/x-ndjson"
        assert [json.loads(line) for line in answer.text.splitlines()] == await api.items("/v1/jobs")
        some = await api.ask("GET", "/v1/jobs", params={"format": "ndjson", "name": "j0"})
        assert [json.loads(line)["name"] for line in some.text.splitlines()] == ["j0"]
        none = await api.ask("GET", "/v1/jobs", params={"format": "csv", "name": "nothing"})
        assert none.text.startswith("id,")
        assert none.text.count("\n") == 1


@pytest.mark.parametrize(
    ("params", "key", "status"),
    [({"format": "csv"}, "wrong", 401), ({"format": "csv", "nme": "x"}, None, 422), ({"format": "xls"}, None, 422)],
)
async def test_what_a_list_refuses_is_refused_in_every_format(
    sqlite_database_url: str, tmp_path: Path, params: dict[str, str], key: str | None, status: int
):
    async with serving(sqlite_database_url, tmp_path) as api:
        answer = await api.ask("GET", "/v1/jobs", params=params, **({"key": key} if key else {}))
        assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")


async def test_every_list_can_be_exported(sqlite_database_url: str, tmp_path: Path):
    async with serving(sqlite_database_url, tmp_path) as api:
        await filled(api)
        schema = api.app.api.openapi()
        lists = [
            path
            for path, operations in schema["paths"].items()
            if "{" not in path
            and any(one["name"] == "cursor" for one in operations.get("get", {}).get("parameters", []))
        ]
        assert len(lists) > 15
        for path in lists:
            answer = await api.ask("GET", path, params={"format": "csv"})
            assert (answer.status_code, answer.headers["content-type"]) == (200, "text/csv; charset=utf-8"), path
            assert all(len(row) > 1 for row in csv.reader(io.StringIO(answer.text, newline=""))), path


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n", "＝"])  # noqa: RUF001
def test_no_cell_of_text_begins_like_a_formula(start: str):
    assert _cell(f"{start}1") == f"'{start}1"


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        ("a;=1+1", "a;'=1+1"),
        ("a\n=1+1", "a\n'=1+1"),
        ('a;"@x', "a;\"'@x"),
        ("a\t -1", "a\t '-1"),
        ("a;b = 1", "a;b = 1"),
        ({"site": "x;=1"}, '{"site":"x;\'=1"}'),
    ],
)
def test_a_cell_that_another_separator_cuts_has_no_formula_either(value: object, cell: str):
    assert _cell(value) == cell


async def test_an_export_ends_when_its_client_has_left():
    pages = 0

    async def endless(_scope: object, _receive: object, send: Send) -> None:
        nonlocal pages
        pages += 1
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b'{"items": [], "next": "more"}'})

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def send(_: Message) -> None:
        pass

    scope = {"type": "http", "path": "/v1/jobs", "query_string": b"format=csv", "headers": []}
    async with asyncio.timeout(10):
        await ListExport(endless, ["id"])(scope, receive, send)
    assert pages == 1


@pytest.mark.parametrize(("value", "cell"), [(-1, "-1"), (1.5, "1.5"), (None, ""), (True, "true"), (["=1"], '["=1"]')])
def test_numbers_stay_numbers(value: object, cell: str):
    assert _cell(value) == cell
