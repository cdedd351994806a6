"""Healthchecks' addresses over HTTP: what its clients look at, and what the administrator then sees."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.api import ADMIN_KEY, ENROL_KEY, Api, serving
from tests.support.context import open_system

RID = "5f0d2a1c-8f55-4c0b-9c3a-0b6d9f0e1a11"


@pytest.fixture
async def api(database_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with serving(database_url, tmp_path, batch_limit=64 * 1024, event_limit=32 * 1024, log_limit=8192) as api:
        yield api


async def key_for(api: Api, form: str, job: str | None = None) -> str:
    found = await api.items("/v1/agents")
    customer = (await api.items("/v1/customers"))[0]["id"]
    agent = found[0] if found else await api.tell("POST", "/v1/agents", json={"customer_id": customer, "name": "nas01"})
    wanted = {"kind": "agent", "name": f"nas01 {form}", "agent_id": agent["id"], "job": job, "form": form}
    return str((await api.tell("POST", "/v1/keys", json=wanted))["key"])


async def events(api: Api) -> list[dict]:
    return [await api.tell("GET", f"/v1/events/{one['id']}") for one in await api.items("/v1/events")]


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
@pytest.mark.parametrize("mount", ["/ping/", "/in/healthchecks/", "/"])
async def test_a_key_of_form_uuid_is_an_address_of_a_check(api: Api, method: str, mount: str):
    key = await key_for(api, "uuid", "photos")
    answer = await api.client.request(method, f"{mount}{key}/fail")
    assert (answer.status_code, answer.text) == (200, "" if method == "HEAD" else "OK")
    assert answer.headers["ping-body-limit"] == "8192"
    assert answer.headers["access-control-allow-origin"] == "*"
    assert [(e["job"], e["outcome"]) for e in await events(api)] == [("photos", "failure")]


@pytest.mark.parametrize("mount", ["/ping/", "/"])
async def test_a_key_without_a_job_takes_slugs(api: Api, mount: str):
    key = await key_for(api, "token")
    answer = await api.client.post(f"{mount}{key}/nas-daily/3", content="no space left on device")
    assert answer.status_code == 200
    assert [(e["job"], e["outcome"], e["log"]) for e in await events(api)] == [
        ("nas-daily", "failure", "no space left on device")
    ]


UNKNOWN = "1b1c7c4e-8a35-4f0e-9d5b-6b7f1f1b2c3d"


@pytest.mark.parametrize("path", [UNKNOWN, f"{UNKNOWN}/start", "k" * 22 + "/nas-daily", "not-a-key"])
@pytest.mark.parametrize("mount", ["/ping/", "/"])
async def test_an_unknown_key_is_not_found(api: Api, mount: str, path: str):
    answer = await api.client.get(mount + path)
    assert answer.status_code == 404


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/healthz", 200), ("GET", "/docs", 200), ("GET", "/openapi.json", 200), ("POST", "/healthz", 405),
     ("GET", "/v1/jobs", 200), ("PUT", "/v1/jobs", 405), ("GET", "/nothing", 404), ("DELETE", "/v1/nothing", 404)],
)  # fmt: skip
async def test_addresses_without_ping_hide_none_of_ours(api: Api, method: str, path: str, status: int):
    assert (await api.ask(method, path)).status_code == status


async def test_an_administrator_s_key_is_no_address(api: Api):
    assert (await api.client.get(f"/ping/{ADMIN_KEY}")).status_code == 404


async def test_a_wrong_address_is_refused_in_healthchecks_words_and_still_seen(api: Api):
    key = await key_for(api, "uuid", "photos")
    answers = [await api.client.get(f"/ping/{key}{rest}") for rest in ("/256", "/done", "/fail?rid=12345")]
    assert [(a.status_code, a.text) for a in answers] == [
        (400, "invalid url format"),
        (400, "invalid url format"),
        (400, "invalid uuid format"),
    ]
    seen = {(e["outcome"], e["activity"]) for e in await events(api)}
    assert seen == {("unclear", "backup"), ("failure", "backup")}


async def test_create_makes_a_new_slug_expected_each_day(api: Api):
    key = await key_for(api, "token")
    first = await api.client.post(f"/ping/{key}/nas-daily/start?create=1")
    assert (first.status_code, first.text) == (201, "Created")
    second = await api.client.post(f"/ping/{key}/nas-daily?create=1")
    assert (second.status_code, second.text) == (200, "OK")
    (job,) = await api.items("/v1/jobs", name="nas-daily")
    assert (job["expectation"]["period_s"], job["expectation"]["grace_s"]) == (86_400, 3_600)
    await api.client.post(f"/ping/{key}/other")
    assert await api.items("/v1/jobs", name="other") == []  # nothing expects it until it is decided on


async def test_a_new_slug_is_expected_before_its_first_signal_is_there(api: Api):
    """A kill between the two must not leave a job that is known, and expected by nobody for ever."""
    key, seen = await key_for(api, "token"), []

    async def body() -> AsyncIterator[bytes]:
        yield b"its "  # the first piece of a body is taken before anything else
        seen.append(len(await api.items("/v1/jobs", name="slow")))
        yield b"log"

    answer = await api.client.post(f"/ping/{key}/slow?create=1", content=body())
    assert (answer.status_code, seen) == (201, [1])


async def test_under_an_enrolment_key_a_slug_is_new_once_and_what_the_admin_then_says_of_it_holds(api: Api):
    address = f"/ping/{ENROL_KEY}/nas-daily?create=1&agent=nas07"
    assert (await api.client.post(address)).status_code == 201
    (job,) = await api.items("/v1/jobs", name="nas-daily")
    assert job["expectation"]["period_s"] == 86_400
    await api.tell("PATCH", f"/v1/jobs/{job['id']}", json={"expectation": None})
    api.app.state.intake.agents.forget()  # as it does of itself some seconds later
    assert (await api.client.post(address)).status_code == 200
    (job,) = await api.items("/v1/jobs", name="nas-daily")
    assert job["expectation"] is None


async def test_a_log_that_is_too_long_keeps_its_ends_and_never_costs_the_failure(api: Api):
    key = await key_for(api, "uuid", "photos")
    answer = await api.client.post(f"/ping/{key}/fail", content=b"begin\n" + b"x" * 300_000 + b"\nno space left")
    assert answer.status_code == 200
    (event,) = await events(api)
    assert event["outcome"] == "failure"
    assert event["log"].startswith("begin")
    assert event["log"].endswith("no space left")


async def test_a_signal_sent_again_counts_once_and_start_and_end_are_one_run(database_url: str, tmp_path: Path):
    async with serving(database_url, tmp_path / "a") as api:
        key = await key_for(api, "uuid", "photos")
        for _ in range(3):
            await api.client.post(f"/ping/{key}/start?rid={RID}")
            await api.client.post(f"/ping/{key}/fail?rid={RID}", content="disk full")
        assert len(await events(api)) == 2
    async with open_system(database_url, tmp_path / "b") as system:
        await system.decide()
    async with serving(database_url, tmp_path / "a") as api:
        (run,) = await api.items("/v1/runs")
        assert (run["outcome"], run["started_at"] is not None) == ("failure", True)
