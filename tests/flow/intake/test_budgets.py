"""What a sender hears beyond its budgets, and what is stored all the same."""

from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from app.domain.service_event import AGENT
from app.intake.usage import UsageWriter
from app.store.tables import agents, events, excesses
from app.store.tables_managed import keys
from tests.support.api import ENROL_KEY, Api, serving

Event = dict[str, Any]


def success(agent: str = "sql01", job: str = "nightly", **more: Any) -> Event:
    return {"agent": agent, "job": job, "outcome": "success", **more}


def failure(agent: str = "sql01", job: str = "nightly", **more: Any) -> Event:
    return {"agent": agent, "job": job, "outcome": "failure", "message": "disk full", **more}


async def post(api: Api, *batch: Event) -> httpx.Response:
    return await api.ask("POST", "/v1/events", key=ENROL_KEY, json=list(batch))


async def stored(api: Api) -> list[Any]:
    query = (
        select(events, agents.c.name).join_from(events, agents, agents.c.id == events.c.agent_id).order_by(events.c.id)
    )
    async with api.context.database.read() as tx:
        return list((await tx.connection.execute(query)).all())


async def rows(api: Api, table: Any) -> list[Any]:
    async with api.context.database.read() as tx:
        return list((await tx.connection.execute(select(table))).all())


async def test_routine_beyond_the_budget_is_refused_by_its_place_and_failures_are_stored(
    database_url: str, tmp_path: Path
) -> None:
    async with serving(database_url, tmp_path, key_events_a_minute=3) as api:
        assert (await post(api, success(), success(), success())).status_code == 202
        answer = await post(api, success(key="a"), failure(key="b"), success(key="c"))
        assert answer.status_code == 429
        assert 1 <= int(answer.headers["Retry-After"]) <= 60
        body = answer.json()
        assert body["code"] == "budget_events_a_minute"
        assert (body["accepted"], [one["index"] for one in body["rejected"]]) == (1, [0, 2])
        assert {one["code"] for one in body["rejected"]} == {"budget_events_a_minute"}
        assert "3 events a minute" in body["detail"]
        assert (await post(api, failure(key="d"))).status_code == 202  # nothing but failures: nothing is refused
        assert [it.key for it in await stored(api) if it.outcome == "failure"] == ["b", "d"]
        again = await post(api, failure(key="b"))
        assert again.json()["duplicates"] == 1


async def test_new_agents_beyond_the_budget_are_refused_and_their_failures_create_as_many_again_and_then_none(
    database_url: str, tmp_path: Path
) -> None:
    async with serving(database_url, tmp_path, key_new_agents_an_hour=2) as api:
        assert (await post(api, success("one"), success("two"))).status_code == 202
        answer = await post(api, success("three"), success("one"))
        assert (answer.status_code, answer.json()["code"]) == (429, "budget_new_agents_an_hour")
        assert int(answer.headers["Retry-After"]) > 1000
        assert answer.json()["accepted"] == 1
        for number in range(6):
            body = await post(api, failure(f"made-up-{number}", key="the same"))
            assert body.status_code == 202
        found = await stored(api)
        assert {it.name for it in found} == {"one", "two", "made-up-0", "made-up-1", AGENT}
        of_key = [it for it in found if it.name == AGENT]
        assert [it.message for it in of_key] == [f"made-up-{n}, job nightly: disk full" for n in range(2, 6)]
        assert {(it.kind, it.outcome) for it in of_key} == {("service", "failure")}
        assert len({it.job for it in of_key}) == 1
        assert (await post(api, failure("made-up-5", key="the same"))).status_code == 202
        assert len(await stored(api)) == len(found)  # sent again, stored once
        intake = api.app.state.intake
        await UsageWriter(api.context, intake.budgets, intake.commits.flows).write(with_bytes=False)
        (noted,) = await rows(api, excesses)
        assert (noted.what, noted.events, noted.failures) == ("new_agents_an_hour", 6, 5)


async def test_new_jobs_beyond_the_budget_are_refused_and_known_ones_never(database_url: str, tmp_path: Path) -> None:
    async with serving(database_url, tmp_path, key_new_jobs_an_hour=2) as api:
        assert (await post(api, success(job="a"), success(job="b"))).status_code == 202
        answer = await post(api, success(job="c"), success(job="a"))
        assert (answer.status_code, answer.json()["code"]) == (429, "budget_new_jobs_an_hour")
        assert answer.json()["rejected"][0]["index"] == 0
        for job in "defgh":
            assert (await post(api, failure(job=job))).status_code == 202
        named = {it.job for it in await stored(api) if it.name != AGENT}
        assert named == {"a", "b", "d", "e"}
        assert [it.message for it in await stored(api) if it.name == AGENT] == [
            f"sql01, job {job}: disk full" for job in "fgh"
        ]


@pytest.mark.slow
async def test_the_bytes_of_the_day_survive_a_restart_and_a_failure_loses_only_its_log(
    database_url: str, tmp_path: Path
) -> None:
    big = "x" * 200_000
    async with serving(database_url, tmp_path) as api:
        customer = (await api.items("/v1/customers"))[0]["id"]
        made = await api.tell(
            "POST", "/v1/keys", json={"kind": "enrol", "name": "Acme", "customer_id": customer, "bytes_a_day": 300_000}
        )
        assert made["bytes_a_day"] == 300_000
        first = await api.ask("POST", "/v1/events", key=made["key"], json=[success(log=big)])
        assert first.status_code == 202
    async with serving(database_url, tmp_path) as api:
        second = await api.ask("POST", "/v1/events", key=made["key"], json=[success(log=big), failure(log=big)])
        assert (second.status_code, second.json()["code"]) == (429, "budget_bytes_a_day")
        assert int(second.headers["Retry-After"]) <= 86_400
        logs = [len(it.log) for it in await stored(api) if it.outcome == "failure"]
        assert len(logs) == 1
        assert logs[0] < 2_000


async def test_a_tool_hears_429_and_its_failure_is_stored(database_url: str, tmp_path: Path) -> None:
    async with serving(database_url, tmp_path, key_events_a_minute=1) as api:
        assert (await api.client.get(f"/ping/{ENROL_KEY}/nightly")).status_code == 200
        answer = await api.client.get(f"/ping/{ENROL_KEY}/nightly")
        assert (answer.status_code, answer.json()["code"]) == (429, "budget_events_a_minute")
        assert (await api.client.get(f"/ping/{ENROL_KEY}/nightly/fail")).status_code == 200
        assert [it.outcome for it in await stored(api)] == ["success", "failure"]


async def test_a_ping_that_creates_jobs_passes_the_budgets_too(database_url: str, tmp_path: Path) -> None:
    async with serving(database_url, tmp_path, key_new_agents_an_hour=1, key_new_jobs_an_hour=1) as api:
        codes = [
            (await api.client.get(f"/ping/{ENROL_KEY}/job-{n}", params={"create": 1, "agent": f"a{n}"})).status_code
            for n in range(4)
        ]
        assert codes[1:] == [429, 429, 429]
        assert len(await rows(api, agents)) == 1


async def test_what_was_refused_is_noted_with_the_agent_that_sends_most(database_url: str, tmp_path: Path) -> None:
    async with serving(database_url, tmp_path, key_events_a_minute=1) as api:
        await post(api, success(), *[success("loud")] * 5, success("calm"))
        writer = UsageWriter(api.context, api.app.state.intake.budgets, api.app.state.intake.commits.flows)
        await writer.write(with_bytes=True)
        await writer.write(with_bytes=True)
        (noted,) = await rows(api, excesses)
        assert (noted.what, noted.events, noted.most_of) == ("events_a_minute", 6, "loud")
        await post(api, *[success("calm")] * 9)
        await writer.write(with_bytes=True)
        (noted,) = await rows(api, excesses)
        assert (noted.events, noted.most_of) == (15, "calm")
        assert sum(it.bytes_used for it in await rows(api, keys)) > 0
        assert 'tocsin_events_over_budget_total{budget="events_a_minute"}' in (await api.ask("GET", "/metrics")).text
