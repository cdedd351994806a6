"""Badges and calendars: whoever has the link sees what was chosen for it and nothing else, until it is revoked."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from icalendar import Calendar
from sqlalchemy import insert, select, update

from app.core.ids import new_id
from app.decide import tick as decide
from app.store.heartbeats import Heartbeat, write_heartbeat
from app.store.tables import jobs, runs
from tests.support.api import Api, serving

SECRETS = ("sql01", "nightly", "disk full", "Aspen")
NOW = datetime(2026, 11, 27, 8, tzinfo=UTC)


@pytest.fixture
async def api(database_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with serving(database_url, tmp_path, clock=lambda: NOW) as api:
        yield api


async def link(api: Api, kind: str, **more: Any) -> str:
    body = {"kind": kind, "name": "Intranet", "customer_ids": None, **more}
    made = (await api.ask("POST", "/v1/share-links", json=body)).json()
    return {"badge": "/badge/{}.svg", "calendar": "/v1/calendar/{}.ics"}[kind].format(made["token"])


async def report(api: Api, outcome: str, worker_seen_at: datetime = NOW) -> None:
    """Report a run, and have it decided on by a worker."""
    await api.report({"agent": "sql01", "job": "nightly", "outcome": outcome, "message": "disk full"})
    while await decide.tick(api.context):
        pass
    async with api.context.database.write() as tx:
        await write_heartbeat(tx, Heartbeat("w", worker_seen_at, worker_seen_at, ("smtp",), []))


async def test_a_badge_shows_the_verdict_and_only_what_was_chosen(api: Api) -> None:
    plain, counted = await link(api, "badge"), await link(api, "badge", shows=["counts"])
    unknown = await api.ask("GET", plain, key="")
    assert "unknown" in unknown.text, "no job has run"
    assert "#1f7a3d" not in unknown.text, "what is not known is not green"
    await report(api, "failure")
    found = await api.ask("GET", counted, key="")
    assert (found.status_code, found.headers["content-type"]) == (200, "image/svg+xml")
    assert found.headers["cache-control"] == "private, max-age=60, must-revalidate"
    assert not [word for word in SECRETS if word in found.text]
    again = await api.ask("GET", counted, key="", headers={"If-None-Match": found.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize(("shows", "words"), [([], "critical<"), (["counts"], "critical: 1 failed<")])
async def test_a_badge_of_a_failure(api: Api, shows: list[str], words: str) -> None:
    await report(api, "failure")
    found = await api.ask("GET", await link(api, "badge", shows=shows), key="")
    assert words in found.text
    assert "#b3261e" in found.text


@pytest.mark.parametrize(("seen_ago", "is_green"), [(timedelta(), True), (timedelta(minutes=5), False)])
async def test_a_badge_of_jobs_that_are_well_is_green_only_while_a_worker_lives(
    api: Api, seen_ago: timedelta, is_green: bool
) -> None:
    await report(api, "success", NOW - seen_ago)
    found = (await api.ask("GET", await link(api, "badge"), key="")).text
    assert ("#1f7a3d" in found) is is_green
    assert ("unknown" in found) is not is_green


async def test_a_link_that_opens_nothing_answers_the_same_whatever_the_reason(api: Api) -> None:
    for kind in ("badge", "calendar"):
        path = await link(api, kind)
        assert (await api.ask("GET", path, key="")).status_code == 200
        [made] = await api.items("/v1/share-links", kind=kind)
        await api.ask("DELETE", f"/v1/share-links/{made['id']}")
        revoked = await api.ask("GET", path, key="")
        ending = path.rsplit(".", 1)[1]
        folder = path.rsplit("/", 1)[0]
        for never in ("A" * 43, "A" * 4000, "%00", "..%2f"):
            unknown = await api.ask("GET", f"{folder}/{never}.{ending}", key="")
            assert unknown.status_code == revoked.status_code == 404, never
        unknown = await api.ask("GET", f"{folder}/{'A' * 43}.{ending}", key="")
        assert {**unknown.json(), "instance": ""} == {**revoked.json(), "instance": ""}


async def expect_and_miss(api: Api) -> None:
    await report(api, "success")
    stored = {"cron": "0 3 * * *", "period_s": None, "time_zone": "UTC", "grace_s": 3600, "longest_s": None}
    due = NOW + timedelta(hours=19)
    async with api.context.database.write() as tx:
        [(job_id, customer_id)] = (await tx.connection.execute(select(jobs.c.id, jobs.c.customer_id))).all()
        await tx.connection.execute(update(jobs).values(expectation=stored, next_due_at=due, overdue_at=due))
        missed = {
            "id": new_id("run"), "customer_id": customer_id, "job_id": job_id, "run_key": "missed:x",
            "started_at": NOW - timedelta(hours=29), "ended_at": NOW - timedelta(hours=29), "heard_at": NOW,
            "outcome": "missed", "severity": "error",
        }  # fmt: skip
        await tx.connection.execute(insert(runs).values(**missed))


@pytest.mark.parametrize(
    ("shows", "first"),
    [
        ([], "Backup missed"),
        (["jobs"], "Backup missed: nightly on sql01"),
        (["jobs", "customers"], "Backup missed: nightly on sql01, "),
    ],
)
async def test_a_calendar_has_the_expected_and_the_missed_runs(api: Api, shows: list[str], first: str) -> None:
    await expect_and_miss(api)
    found = await api.ask("GET", await link(api, "calendar", shows=shows), key="")
    assert found.headers["content-type"].startswith("text/calendar")
    entries = list(Calendar.from_ical(found.text).walk("VEVENT"))
    assert str(entries[0]["summary"]).startswith(first)
    assert entries[0].decoded("dtstart") == NOW - timedelta(hours=29)
    assert [one.decoded("dtstart").hour for one in entries[1:]] == [3] * 14
    assert all(str(one["summary"]).startswith("Backup expected") for one in entries[1:])
    assert len({str(one["uid"]) for one in entries}) == 15
    if not shows:
        assert not [word for word in SECRETS if word in found.text]
