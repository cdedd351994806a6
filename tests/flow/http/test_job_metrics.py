"""GET /metrics/jobs: each job's state, times and amounts, in both of Prometheus's formats, in little memory and without holding up others."""

import asyncio
import subprocess
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_open_metrics
from prometheus_client.parser import text_string_to_metric_families as read_text
from sqlalchemy import select, update

from app.core.clock import now
from app.decide import missed
from app.http import job_metrics
from app.http.job_metrics import ScrapeResponse, ScrapeTurns
from app.store.tables import agents, jobs
from tests.flow.http.test_status import decide_all, monitor_key
from tests.support.api import Api, serving
from tests.support.fill import analyze, copy_rows, id_prefix, numbered
from tests.support.loop_hold import measuring

AMOUNTS = {"bytes_processed": 7340032, "bytes_stored": 1048576, "files_processed": 812, "duration_s": 41.5}
WELL = {"agent": "nas01", "job": "photos", "outcome": "success", "metrics": AMOUNTS, "labels": {"site": "hq"}}
BAD = {"agent": 'sql"01', "job": "C:\\db", "outcome": "failure", "message": "disk full"}
MANY = 20_000


def samples(text: str, name: str, *, is_open: bool = False) -> dict[tuple[str, ...], float]:
    """Return the value of each sample of a metric by agent, job and state; fail unless the whole text can be read."""
    read = read_open_metrics if is_open else read_text
    found = {}
    for family in read(text):
        for sample in family.samples:
            if sample.name == name:
                of = tuple(sample.labels[label] for label in ("agent", "job", "state") if label in sample.labels)
                assert of not in found
                found[of] = sample.value
    return found


async def scrape(api: Api, *, key: str | None = None, is_open: bool = False, **params: object) -> str:
    headers = {"Accept": "application/openmetrics-text;version=1.0.0,text/plain;q=0.5"} if is_open else {}
    more = {} if key is None else {"key": key}
    answer = await api.ask("GET", "/metrics/jobs", params=params, headers=headers, **more)
    assert answer.status_code == 200, answer.text
    wanted = "application/openmetrics-text" if is_open else "text/plain"
    assert answer.headers["content-type"].startswith(wanted)
    return answer.text


@pytest.mark.parametrize("is_open", [False, True])
async def test_each_job_has_its_state_times_and_amounts(database_url: str, tmp_path: Path, *, is_open: bool):
    async with serving(database_url, tmp_path) as api:
        await api.report(WELL, BAD)
        await decide_all(api)
        text = await scrape(api, key=await monitor_key(api), is_open=is_open)
        photos, database = ("nas01", "photos"), ('sql"01', "C:\\db")

        def value(name: str) -> dict[tuple[str, ...], float]:
            return samples(text, name, is_open=is_open)

        assert value("tocsin_job_state") == {(*photos, "ok"): 1, (*database, "failed"): 1}
        assert value("tocsin_job_last_duration_seconds") == {photos: 41.5}
        assert value("tocsin_job_last_processed_bytes") == {photos: 7340032}
        assert value("tocsin_job_last_files") == {photos: 812}
        assert value("tocsin_job_failures_in_row") == {photos: 0, database: 1}
        assert set(value("tocsin_job_last_success_timestamp_seconds")) == {photos}
        assert set(value("tocsin_job_last_run_timestamp_seconds")) == {photos, database}
        assert value("tocsin_states_current") == {(): 1}
        assert value("tocsin_jobs_left_out") == {(): 0}
        assert value("tocsin_silent_agents") == {(): 0}
        assert value("tocsin_jobs") == {("ok",): 1, ("failed",): 1}
        assert text.endswith("# EOF\n") is is_open


@pytest.mark.needs("promtool")
async def test_names_and_units_are_as_prometheus_wants_them(sqlite_database_url: str, tmp_path: Path):
    async with serving(sqlite_database_url, tmp_path) as api:
        await api.report(WELL, BAD)
        await decide_all(api)
        [job] = await api.items("/v1/jobs", name="photos")
        expectation = {"period_s": 3600, "grace_s": 60}
        await api.tell("PATCH", f"/v1/jobs/{job['id']}", json={"expectation": expectation})
        text = await scrape(api, label="site")
        assert {family.name for family in job_metrics.FAMILIES} - {
            sample.name for family in read_text(text) for sample in family.samples
        } == {"tocsin_job_running_since_timestamp_seconds"}
        assert 'job="photos",activity="backup",label_site="hq"}' in text
        checked = await asyncio.to_thread(
            subprocess.run,
            ["promtool", "check", "metrics"],
            input=text,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")


async def test_a_job_ages_towards_its_expectation(sqlite_database_url: str, tmp_path: Path):
    async with serving(sqlite_database_url, tmp_path) as api:
        await api.report(WELL)
        await decide_all(api)
        [job] = await api.items("/v1/jobs")
        body = {"expectation": {"period_s": 3600, "grace_s": 400}}
        await api.tell("PATCH", f"/v1/jobs/{job['id']}", json=body)
        text = await scrape(api)
        [age] = samples(text, "tocsin_job_age_ratio").values()
        assert 0 <= age < 0.05
        assert list(samples(text, "tocsin_job_overdue").values()) == [0]


async def test_a_silent_agent_is_counted_though_its_job_keeps_its_state(sqlite_database_url: str, tmp_path: Path):
    async with serving(sqlite_database_url, tmp_path) as api:
        await api.report(WELL, {**WELL, "agent": "web01"})
        await decide_all(api)
        async with api.context.database.write() as tx:
            passed = update(agents).where(agents.c.name == "nas01").values(silent_after_s=60, silent_at=now())
            await tx.connection.execute(passed)
        await missed.write_due_events(replace(api.context, clock=lambda: now() + timedelta(minutes=2)))
        await decide_all(api)
        text = await scrape(api, match="agent=nas01")
        assert samples(text, "tocsin_job_state") == {("nas01", "photos", "ok"): 1}
        assert samples(text, "tocsin_silent_agents") == {(): 1}
        assert samples(await scrape(api, match="agent=web01"), "tocsin_silent_agents") == {(): 0}


async def test_matchers_choose_what_is_scraped(sqlite_database_url: str, tmp_path: Path):
    async with serving(sqlite_database_url, tmp_path) as api:
        await api.report(WELL, BAD)
        await decide_all(api)
        for params in ({"match": "job~pho*"}, {"match[]": ["agent=nas01", "label:site=hq"]}):
            assert list(samples(await scrape(api, **params), "tocsin_job_state")) == [("nas01", "photos", "ok")]
        several = {
            "match[]": ["agent=nas01", 'agent=sql"01', "agent=none"]
        }  # any of them, as in /federate of Prometheus
        assert len(samples(await scrape(api, **several), "tocsin_job_state")) == 2
        both = await scrape(api, match=["agent=nas01", 'agent=sql"01'])
        assert samples(both, "tocsin_job_state") == {}
        assert len(samples(await scrape(api, match="job~C:*", **several), "tocsin_job_state")) == 1
        assert samples(await scrape(api, match="job=none"), "tocsin_job_state") == {}
        for wrong in ({"match": "job"}, {"label": ["a.b", "a-b"]}):
            assert (await api.ask("GET", "/metrics/jobs", params=wrong)).status_code == 422
        assert (await api.ask("GET", "/metrics/jobs", key="wrong")).status_code == 401


async def test_beyond_the_limit_jobs_in_trouble_stay_and_the_others_are_counted(database_url: str, tmp_path: Path):
    async with serving(database_url, tmp_path, job_metrics_most=2) as api:
        await api.report(*({**WELL, "job": f"j{number}"} for number in range(4)), BAD)
        await decide_all(api)
        text = await scrape(api)
        shown = samples(text, "tocsin_job_state")
        assert len(shown) == 2
        assert ('sql"01', "C:\\db", "failed") in shown
        assert samples(text, "tocsin_jobs_left_out") == {(): 3}
        assert samples(text, "tocsin_jobs") == {("ok",): 4, ("failed",): 1}


@pytest.mark.parametrize("most", [0, 1, 2, 3])
async def test_where_trouble_alone_fills_the_limit_the_scrape_is_answered(
    sqlite_database_url: str, tmp_path: Path, most: int
):
    async with serving(sqlite_database_url, tmp_path, job_metrics_most=most) as api:
        await api.report(WELL, BAD, {**BAD, "job": "mail"})
        await decide_all(api)
        text = await scrape(api)
        shown = samples(text, "tocsin_job_state")
        assert sorted(state for _, _, state in shown) == ["failed", "failed", "ok"][:most]
        assert samples(text, "tocsin_jobs_left_out") == {(): 3 - most}
        assert samples(text, "tocsin_jobs") == {("ok",): 1, ("failed",): 2}


@pytest.mark.slow
async def test_a_scrape_of_many_jobs_holds_nobody_up(sqlite_database_url: str, tmp_path: Path):
    async with serving(sqlite_database_url, tmp_path) as api:
        await api.report(WELL)
        await decide_all(api)
        async with api.context.database.read() as tx:
            template = dict((await tx.connection.execute(select(jobs))).mappings().one())
            assert await tx.connection.scalar(select(agents.c.id)) == template["agent_id"]
        await copy_rows(
            api.context.database,
            jobs,
            template,
            MANY,
            id=lambda n: numbered(id_prefix("job"), n),
            name=lambda n: numbered("nightly-", n),
        )
        await analyze(api.context.database)
        await scrape(api, match="job=photos")
        with measuring() as holds:
            text = await scrape(api)
        assert len(samples(text, "tocsin_job_state")) == MANY + 1
        # Reading the answer is the client's part: it runs in the same loop here, piece by piece.
        ours = [hold for hold in holds.kept if "main.py" not in hold.what]  # the start may not have ended
        assert max(hold.seconds for hold in ours) < 0.05, ours


async def test_a_scraper_that_takes_nothing_holds_the_jobs_in_memory_for_a_limited_time(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(job_metrics, "SENT_WITHIN_S", 0.05)
    turns = ScrapeTurns()

    async def pieces() -> AsyncIterator[str]:
        with turns.sending():
            yield "x"

    async def never(_: object = None) -> Any:
        await asyncio.Event().wait()

    await ScrapeResponse(pieces())({"type": "http", "asgi": {"spec_version": "2.4"}}, never, never)
    assert turns.begun == {}


async def test_more_scrapes_at_once_than_memory_is_meant_for_are_refused(sqlite_database_url: str, tmp_path: Path):
    async with serving(sqlite_database_url, tmp_path) as api:
        turns = api.app.state.scrape_turns
        with turns.sending(), turns.sending(), turns.sending(), turns.sending():
            answer = await api.ask("GET", "/metrics/jobs")
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
        await asyncio.gather(*(scrape(api) for _ in range(3)))
        assert turns.begun == {}
