"""Schedules and time zones over HTTP, in the spellings that people have at hand. On both databases."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from app.decide import tick as decide
from tests.support.api import Api, serving


@pytest.fixture
async def api(database_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with serving(database_url, tmp_path) as api:
        yield api


async def job_of(api: Api) -> str:
    await api.report({"agent": "sql01", "job": "nightly", "outcome": "success"})
    await decide.tick(api.context)
    [job] = await api.items("/v1/jobs")
    return str(job["id"])


@pytest.mark.parametrize(
    ("sent", "cron", "zone"),
    [
        ({"cron": "0 2 * * 1-5; 0 4 * * 6"}, "0 2 * * 1-5; 0 4 * * 6", "UTC"),
        ({"cron": "@daily", "time_zone": "europe/berlin"}, "0 0 * * *", "Europe/Berlin"),
        ({"cron": "Mon..Fri 02:30", "time_zone": "W. Europe Standard Time"}, "30 2 * * 1-5", "Europe/Berlin"),
        ({"cron": "Mon..Fri 02:30 Europe/Vienna"}, "30 2 * * 1-5", "Europe/Vienna"),
        ({"cron": "Mon..Fri 02:30 Europe/Vienna", "time_zone": "Vienna"}, "30 2 * * 1-5", "Europe/Vienna"),
    ],
)
async def test_a_schedule_is_answered_as_cron_expressions(api: Api, sent: dict[str, str], cron: str, zone: str) -> None:
    job_id = await job_of(api)
    job = await api.tell("PATCH", f"/v1/jobs/{job_id}", json={"expectation": sent})
    expected = job["expectation"]
    assert (expected["cron"], expected["time_zone"]) == (cron, zone)
    assert job["next_due_at"] is not None
    again = await api.tell("PATCH", f"/v1/jobs/{job_id}", json={"expectation": expected})
    assert (again["expectation"], again["version"]) == (expected, job["version"])


@pytest.mark.parametrize(
    ("sent", "helps"),
    [
        ({"cron": "@reboot"}, "send period_s"),
        ({"cron": "Mon..Fri 02:30 UTC", "time_zone": "Europe/Berlin"}, "but the schedule names UTC"),
        ({"cron": "@daily", "time_zone": "Europe/Berln"}, "Did you mean Europe/Berlin"),
    ],
)
async def test_another_schedule_is_refused_with_a_sentence_that_helps(
    api: Api, sent: dict[str, str], helps: str
) -> None:
    refused = await api.ask("PATCH", f"/v1/jobs/{await job_of(api)}", json={"expectation": sent})
    assert refused.status_code == 422
    assert helps in refused.json()["detail"]


async def test_customers_and_summaries_take_the_same_spellings_of_time_zones(api: Api) -> None:
    customer = await api.tell("POST", "/v1/customers", json={"name": "Acme", "time_zone": "W. Europe Standard Time"})
    assert customer["time_zone"] == "Europe/Berlin"
    [schedule] = await api.items("/v1/summary-schedules")
    path = f"/v1/summary-schedules/{schedule['id']}"
    schedule = await api.tell("PATCH", path, json={"time_zone": "america/new york"})
    assert schedule["time_zone"] == "America/New_York"
    refused = await api.ask("PATCH", path, json={"time_zone": "CEST"})
    assert "Did you mean Europe/Berlin or Europe/Paris?" in refused.json()["detail"]


async def test_a_period_allows_for_the_clock_changes_of_its_customer(api: Api) -> None:
    [customer] = await api.items("/v1/customers")
    await api.tell("PATCH", f"/v1/customers/{customer['id']}", json={"time_zone": "Europe/Berlin"})
    job = await api.tell("PATCH", f"/v1/jobs/{await job_of(api)}", json={"expectation": {"period_s": 86400}})
    assert job["expectation"]["time_zone"] == "Europe/Berlin"
