"""No text of an event gets out of its place in what others read over HTTP: metrics, calendar, badge, wall, answer page, CSV and NDJSON."""

import csv
import io
import json
import re
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from icalendar import Calendar
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_open_metrics
from prometheus_client.parser import text_string_to_metric_families as read_text

from app.compose import tick as compose
from app.store.messages import bodies_of
from tests.flow.http.test_status import decide_all
from tests.support.api import Api, serving

MARKUP = '"><script>alert(1)</script><img src=x onerror=alert(1)>'
NASTY = [
    MARKUP,
    '"} 1\ntocsin_job_state{agent="x",job="y",state="ok"} 1\n# EOF\n',
    'a\\"} 0 # {trace_id="1"} 1',
    "x\\",
    "x\\n",
    "nightly\r\nEND:VEVENT\r\nBEGIN:VEVENT\r\nSUMMARY:all well",
    "nightly\r\nATTACH:http://127.0.0.1/x\r\nX-EVIL:1",
    "a;b,c:d\\n",
    "=cmd|' /C calc'!A0",
    "+1;@SUM(1)\t=1",
    "{{ 7*7 }}{% include '/etc/passwd' %}",
    "\x00\x1b]0;title\x07\u202e\u2028\u0085",
    "\r\nSet-Cookie: a=b\r\n\r\n<html>",
    "ü備🔥" * 30,
]
LINES_OF_CALENDAR = {
    "BEGIN", "END", "VERSION", "PRODID", "X-WR-CALNAME", "REFRESH-INTERVAL", "SUMMARY", "DTSTART", "DTEND", "DTSTAMP", "UID", "TRANSP",
}  # fmt: skip


def failure(number: int, text: str) -> dict[str, Any]:
    """Return a report whose every text is `text`."""
    return {
        "agent": f"{number} {text}",
        "job": f"{text} {number}",
        "outcome": "failure",
        "message": text,
        "log": text,
        "labels": {"site": text, text[:60]: "1"},
        "extra": {text[:60]: text},
    }


@pytest.fixture
async def api(sqlite_database_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with serving(sqlite_database_url, tmp_path) as api:
        await api.report(*(failure(number, text) for number, text in enumerate(NASTY)))
        await decide_all(api)
        while await compose.tick(api.context):
            pass
        yield api


async def stored(api: Api) -> list[dict[str, Any]]:
    """Return the jobs that the events made: one for each."""
    jobs = await api.items("/v1/jobs")
    assert len(jobs) == len(NASTY)
    return jobs


@pytest.mark.parametrize("is_open", [False, True])
async def test_metrics_have_one_sample_of_each_job_with_its_labels(api: Api, *, is_open: bool):
    headers = {"Accept": "application/openmetrics-text"} if is_open else {}
    answer = await api.ask("GET", "/metrics/jobs", params={"label": "site"}, headers=headers)
    families = list((read_open_metrics if is_open else read_text)(answer.text))
    states = [one for family in families for one in family.samples if one.name == "tocsin_job_state"]
    jobs = await stored(api)
    agents = {one["id"]: one["name"] for one in await api.items("/v1/agents")}
    expected = Counter((agents[job["agent_id"]], job["name"]) for job in jobs)
    assert Counter((one.labels["agent"], one.labels["job"]) for one in states) == expected
    assert {one.labels["state"] for one in states} == {"failed"}
    assert {one.labels.get("label_site", "") for one in states} == {job["labels"].get("site", "") for job in jobs}
    names = {family.name for family in families}
    assert all(name.startswith("tocsin_") for name in names)


async def test_a_calendar_has_one_entry_for_each_run_and_no_line_of_an_event(api: Api):
    for job in await stored(api):
        body = {"expectation": {"cron": "0 3 * * *", "grace_s": 3600}}
        await api.tell("PATCH", f"/v1/jobs/{job['id']}", json=body)
    wanted = {"kind": "calendar", "name": "c", "customer_ids": None, "shows": ["jobs", "customers", "counts"]}
    made = await api.tell("POST", "/v1/share-links", json=wanted)
    answer = await api.ask("GET", f"/v1/calendar/{made['token']}.ics", key="")
    lines = re.sub(r"\r\n[ \t]", "", answer.text).rstrip("\r\n").split("\r\n")
    assert {re.split(r"[:;]", line, maxsplit=1)[0].upper() for line in lines} <= LINES_OF_CALENDAR
    assert not re.search(r"[\x00-\x08\x0b\x0c\x0e-\x1f]", answer.text)
    entries = list(Calendar.from_ical(answer.text).walk("VEVENT"))
    days = Counter(str(one["summary"]) for one in entries)
    assert len(days) == len(NASTY), "an entry for each job"
    assert all(summary.startswith("Backup expected: ") for summary in days)


async def test_shared_pages_show_no_markup_of_an_event(api: Api):
    shared = {"name": "s", "customer_ids": None, "shows": ["jobs", "customers", "counts", "errors"]}
    wall = await api.tell("POST", "/v1/share-links", json={**shared, "kind": "wall"})
    badge = await api.tell("POST", "/v1/share-links", json={**shared, "kind": "badge", "shows": ["counts"]})
    page = await api.ask("GET", f"/wall/{wall['token']}", key="")
    assert "&lt;script&gt;" in page.text, "the wall shows the job"
    picture = await api.ask("GET", f"/badge/{badge['token']}.svg", key="")
    pages = [page, picture]
    for message in await api.items("/v1/messages"):
        async with api.context.database.read() as tx:  # the API hides the links of a mail
            bodies = await bodies_of(tx, message["id"])
        found = bodies and re.search(rb"http://tocsin\.test(/answer/[\w.=\r\n]+)", bodies.mail or b"")
        if found:
            path = re.sub(rb"=\r\n", b"", found[1]).split(b"\r")[0].decode()
            pages.append(await api.ask("GET", path, key=""))
    assert len(pages) > len((page, picture)), "the page of an answer link is among them"
    for one in pages:
        assert one.status_code == 200
        assert "<img" not in one.text
        assert "<script>alert" not in one.text
        assert "set-cookie" not in one.headers
        assert not [word for word in ("nightly", "calc", "备") if word in picture.text]


async def test_a_list_as_csv_or_ndjson_has_one_row_for_each_job_and_no_formula(api: Api):
    jobs = await stored(api)
    for path in ("/v1/jobs", "/v1/events", "/v1/agents", "/v1/alerts"):
        rows = await api.items(path)
        table = await api.ask("GET", path, params={"format": "csv"})
        cells = list(csv.reader(io.StringIO(table.text, newline="")))
        assert len(cells) == len(rows) + 1, path
        assert {len(row) for row in cells} == {len(cells[0])}
        assert [cell for row in cells for cell in row if re.match(r"[=+@\t\r]|-\D", cell)] == []
        lines = (await api.ask("GET", path, params={"format": "ndjson"})).text.split("\n")
        assert [json.loads(line) for line in lines if line] == rows
    assert len(jobs) == len(NASTY)


async def test_no_header_of_an_answer_comes_from_an_event(api: Api):
    [alert, *_] = await api.items("/v1/alerts")
    for path in ("/v1/events", "/v1/jobs", f"/v1/alerts/{alert['id']}", "/metrics/jobs", "/v1/status"):
        answer = await api.ask("GET", path, params={"format": "csv"} if path in ("/v1/events", "/v1/jobs") else {})
        assert answer.status_code == 200, path
        assert "set-cookie" not in answer.headers
        assert all(value.isascii() and "script" not in value for value in answer.headers.values()), path
