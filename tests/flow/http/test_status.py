"""GET /v1/status: what a monitoring system learns of jobs, with a key that can read nothing else."""

from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select, update

from app.core.clock import now
from app.decide import tick as decide
from app.domain.summary_schedule import SummarySchedule
from app.http.api import status
from app.store.events import set_event_aside
from app.store.heartbeats import Heartbeat, write_heartbeat
from app.store.job_states import JobChoice, count_jobs
from app.store.summary_jobs import read_jobs
from app.store.summary_scope import scope_of
from app.store.tables import events, jobs
from tests.support.api import Api, serving
from tests.support.context import open_system

WELL = {"agent": "nas01", "job": "photos", "outcome": "success", "labels": {"site": "hq"}}
BAD = {"agent": "sql01", "job": "db", "outcome": "failure", "message": "disk full", "labels": {"site": "=2+2"}}


@pytest.fixture(autouse=True)
def _nothing_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Answer from the database each time, as after the few seconds for which an answer is kept."""
    monkeypatch.setattr(status, "KEPT", timedelta())


async def decide_all(api: Api) -> None:
    """Decide on what was reported, and show a worker that lives."""
    while await decide.tick(api.context):
        pass
    async with api.context.database.write() as tx:
        await write_heartbeat(tx, Heartbeat("w", now(), now(), ("smtp",), []))


async def monitor_key(api: Api, customer_id: str | None = None) -> str:
    body = {"kind": "monitor", "name": "nagios", "customer_id": customer_id}
    return str((await api.tell("POST", "/v1/keys", json=body))["key"])


async def test_one_verdict_with_counts_and_the_worst_jobs(database_url: str, tmp_path: Path):
    async with serving(database_url, tmp_path) as api:
        key = await monitor_key(api)
        assert (await api.tell("GET", "/v1/status", key=key))["verdict"] == "unknown"
        await api.report(WELL, BAD)
        stale = await api.tell("GET", "/v1/status", key=key)
        assert (stale["verdict"], stale["is_current"]) == ("unknown", False)
        await decide_all(api)
        found = await api.tell("GET", "/v1/status", key=key)
        assert (found["verdict"], found["reason"], found["is_current"]) == ("critical", "1 failed", True)
        assert (found["counts"]["jobs"], found["counts"]["ok"]) == (2, 1)
        [worst] = found["worst"]
        assert (worst["agent"], worst["job"], worst["state"], worst["message"]) == (
            "sql01",
            "db",
            "failed",
            "disk full",
        )
        assert found["newest_report_age_s"] < 60


@pytest.mark.parametrize(
    ("match", "verdict"),
    [
        ("job=photos", "ok"),
        ("job=PHOTOS", "ok"),
        ("agent~sql*", "critical"),
        ("agent!~sql*", "ok"),
        ("label:site=hq", "ok"),
        ("label:site==2+2", "critical"),
        ('label:si"te=hq', "unknown"),
        ("job=nothing", "unknown"),
        ("customer=default", "critical"),
    ],
)
async def test_matchers_choose_the_jobs(database_url: str, tmp_path: Path, match: str, verdict: str):
    async with serving(database_url, tmp_path) as api:
        await api.report(WELL, BAD)
        await decide_all(api)
        [customer] = await api.items("/v1/customers")
        asked = match.replace("customer=default", f"customer={customer['name']}")
        assert (await api.tell("GET", "/v1/status", params={"match": asked}))["verdict"] == verdict
        assert (await api.tell("GET", "/v1/status", params={"match": [asked, "job!=db"]}))["verdict"] in (
            "ok",
            "unknown",
        )


async def test_a_matcher_that_cannot_be_read_is_refused(sqlite_database_url: str, tmp_path: Path):
    async with serving(sqlite_database_url, tmp_path) as api:
        answer = await api.ask("GET", "/v1/status", params={"match": "jbo=x"})
        assert answer.status_code == 422
        assert "label:NAME" in answer.text


async def test_a_failure_that_was_set_aside_is_unknown_until_its_job_has_run_again(database_url: str, tmp_path: Path):
    async with serving(database_url, tmp_path) as api:
        await api.report(WELL)
        await decide_all(api)
        await api.report({**WELL, "outcome": "failure"})
        async with api.context.database.write() as tx:
            [event_id] = (await tx.connection.execute(select(events.c.id).where(events.c.state == "new"))).scalars()
            await set_event_aside(tx, event_id, "a defect")
        found = await api.tell("GET", "/v1/status")
        assert (found["verdict"], found["is_current"]) == ("unknown", False)
        assert found["reason"].startswith("1 report(s) of trouble could not be processed")
        await api.report(WELL)
        await decide_all(api)
        assert (await api.tell("GET", "/v1/status"))["verdict"] == "ok"


async def test_the_etag_stays_until_something_but_the_age_changes(sqlite_database_url: str, tmp_path: Path):
    time = [now()]
    async with serving(sqlite_database_url, tmp_path, clock=lambda: time[0]) as api:
        await api.report(WELL)
        await decide_all(api)
        first = await api.ask("GET", "/v1/status")
        time[0] += timedelta(seconds=30)
        again = await api.ask("GET", "/v1/status", headers={"If-None-Match": first.headers["etag"]})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", first.headers["etag"])
        time[0] += timedelta(minutes=2)  # no worker wrote a heartbeat since
        stale = await api.ask("GET", "/v1/status", headers={"If-None-Match": first.headers["etag"]})
        assert (stale.status_code, stale.json()["verdict"]) == (200, "unknown")


async def test_a_monitor_key_reads_states_of_its_customer_and_nothing_else(database_url: str, tmp_path: Path):
    async with serving(database_url, tmp_path) as api:
        await api.report(WELL)
        await decide_all(api)
        other = (await api.tell("POST", "/v1/customers", json={"name": "Other", "time_zone": "UTC"}))["id"]
        [job] = await api.items("/v1/jobs")
        key = await monitor_key(api, other)
        assert (await api.tell("GET", "/v1/status", key=key))["reason"] == "no job matches"
        assert (await api.tell("GET", "/v1/status/jobs", key=key))["items"] == []
        assert (await api.ask("GET", f"/v1/status/jobs/{job['id']}", key=key)).status_code == 404
        refused = await api.ask("GET", "/v1/status", key=key, params={"customer_id": job["customer_id"]})
        assert (refused.status_code, refused.json()["code"]) == (403, "key_scope")
        for path in ("/v1/jobs", "/v1/customers", "/v1/events", "/v1/keys"):
            assert (await api.ask("GET", path, key=key)).status_code == 403
        assert (await api.ask("POST", "/v1/events", key=key, json=WELL)).status_code == 403
        whole = await monitor_key(api)
        found = await api.tell("GET", "/v1/status/jobs", key=whole, params={"state": "ok"})
        assert [one["job"] for one in found["items"]] == ["photos"]
        assert (await api.tell("GET", f"/v1/status/jobs/{job['id']}", key=whole))["state"] == "ok"


async def test_the_list_goes_on_from_page_to_page(database_url: str, tmp_path: Path):
    async with serving(database_url, tmp_path) as api:
        await api.report(*({**WELL, "job": f"j{number}"} for number in range(5)))
        await decide_all(api)
        found = await api.items("/v1/status/jobs", limit="2")
        assert sorted(one["job"] for one in found) == [f"j{number}" for number in range(5)]


async def test_counts_are_those_of_a_summary_whose_period_ends_now(database_url: str, tmp_path: Path):
    async with open_system(database_url, tmp_path) as system:
        for number, outcome in enumerate(["success", "failure", "warning", "cancelled", "unclear", "success"]):
            await system.receive(job=f"j{number}", outcome=outcome)
        await system.receive("agent2", job="started", phase="started")
        await system.receive(job="again", outcome="failure")
        system.pass_time(minutes=5)
        await system.receive(job="again", outcome="unclear", message="Backup of sql01")
        await system.decide()
        async with system.context.database.write() as tx:  # as if an administrator had dismissed the expectation of one
            missed = update(jobs).values(state="missed", missed_in_row=1)
            await tx.connection.execute(missed.where(jobs.c.name == "j5"))
            await tx.connection.execute(missed.where(jobs.c.name == "j2").values(dismissed_at=system.time[0]))
        system.pass_time(seconds=1)
        now_ = system.time[0]
        schedule = SummarySchedule(id="sch", name="all", created_at=now_, recipients=())
        scope = scope_of(schedule, now_ - timedelta(days=1), now_)
        async with system.context.database.read() as tx:
            counts = await count_jobs(tx, JobChoice(), now_)
            summed = await read_jobs(tx, scope)
        states = ("failed", "missed", "overrun", "unclear", "warning", "ok", "new")
        assert counts.jobs == summed.total
        assert {name: getattr(counts, name) for name in states} == {name: summed.states.get(name, 0) for name in states}
        assert counts.failed == 2
        assert counts.missed == 1


async def test_many_who_ask_count_the_jobs_once(
    sqlite_database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(status, "KEPT", timedelta(seconds=3))
    time = [now()]
    async with serving(sqlite_database_url, tmp_path, clock=lambda: time[0]) as api:
        first = await api.tell("GET", "/v1/status")
        await api.report(WELL)
        await decide_all(api)
        assert await api.tell("GET", "/v1/status") == first
        assert (await api.tell("GET", "/v1/status", params={"match": "job=photos"}))["counts"]["jobs"] == 1
        time[0] += timedelta(seconds=3)
        assert (await api.tell("GET", "/v1/status"))["counts"]["jobs"] == 1
