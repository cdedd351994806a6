"""A silence until it is fixed: it ends with the trouble that it mutes, and at its time at the latest."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from app.decide import tick as decide
from tests.support.api import Api, serving

FAILURE = {"agent": "files01", "job": "shares", "outcome": "failure", "message": "the repository is locked"}


@pytest.fixture
async def api(database_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with serving(database_url, tmp_path) as api:
        yield api


async def _report(api: Api, **words: object) -> None:
    await api.report({**FAILURE, **words})
    while await decide.tick(api.context):
        pass


async def _silence(api: Api, *fields: str) -> str:
    [alert] = await api.items("/v1/alerts", state="open")
    names = {"agent": "files01", "job": "shares"}
    body = {
        "customer_id": alert["customer_id"],
        "matchers": [{"field": field, "test": "is", "value": names[field]} for field in fields],
        "ends_at": (api.context.clock() + timedelta(days=7)).isoformat(),
        "comment": "a new disk",
        "until_fixed": True,
    }
    return str((await api.tell("POST", "/v1/silences", json=body))["id"])


async def _is_current(api: Api, silence_id: str) -> bool:
    return silence_id in [one["id"] for one in await api.items("/v1/silences", state="current")]


async def test_it_ends_when_the_job_succeeds_and_the_next_failure_is_reported(api: Api) -> None:
    await _report(api)
    silence = await _silence(api, "agent", "job")
    await _report(api, key="2", message="still locked")
    assert await _is_current(api, silence)
    await _report(api, key="3", job="other", outcome="success")
    assert await _is_current(api, silence)
    await _report(api, key="4", outcome="success")
    assert not await _is_current(api, silence)
    await _report(api, key="5")
    [alert] = await api.items("/v1/alerts", state="open")
    assert [one["state"] for one in await api.items("/v1/notices", alert_id=alert["id"])] == ["waiting"]


async def test_one_of_an_agent_waits_for_all_of_its_jobs(api: Api) -> None:
    await _report(api)
    silence = await _silence(api, "agent")
    await _report(api, key="2", job="other")
    await _report(api, key="3", outcome="success")
    assert await _is_current(api, silence)
    await _report(api, key="4", job="other", outcome="success")
    assert not await _is_current(api, silence)


async def test_an_alert_that_is_closed_by_hand_fixes_nothing(api: Api) -> None:
    await _report(api)
    silence = await _silence(api, "agent", "job")
    [alert] = await api.items("/v1/alerts", state="open")
    await api.tell("POST", f"/v1/alerts/{alert['id']}:close", json={"reason": "known"})
    assert await _is_current(api, silence)
    await _report(api, key="2", job="other", outcome="success")
    assert await _is_current(api, silence)


@pytest.mark.parametrize(
    ("first", "then"),
    [
        ({"outcome": "failure"}, {"outcome": "success"}),
        ({"outcome": "failure"}, {"outcome": "warning"}),
        ({"outcome": "unclear", "message": "it went somehow"}, {"outcome": "success"}),
    ],
)
async def test_a_success_ends_it_although_somebody_closed_the_alert_and_the_next_failure_is_reported(
    api: Api, first: dict[str, str], then: dict[str, str]
) -> None:
    await _report(api, **first)
    silence = await _silence(api, "agent", "job")
    [alert] = await api.items("/v1/alerts", state="open")
    await api.tell("POST", f"/v1/alerts/{alert['id']}:close", json={"reason": "known"})
    await _report(api, key="2", **then)
    assert not await _is_current(api, silence)
    await _report(api, key="3")
    [alert] = [one for one in await api.items("/v1/alerts", state="open") if one["kind"] == "failed"]
    assert [one["state"] for one in await api.items("/v1/notices", alert_id=alert["id"])] == ["waiting"]


@pytest.mark.parametrize(
    "matchers",
    [
        [{"field": "agent", "test": "like", "value": "files*"}],
        [{"field": "job", "test": "is", "value": "shares"}],
        [
            {"field": "agent", "test": "is", "value": "files01"},
            {"field": "label:site", "test": "is", "value": "north"},
        ],
    ],
)
async def test_a_wide_silence_cannot_wait_for_one_thing_to_be_fixed(api: Api, matchers: list[dict[str, str]]) -> None:
    [customer] = await api.items("/v1/customers")
    ends_at = (api.context.clock() + timedelta(days=7)).isoformat()
    body = {
        "customer_id": customer["id"],
        "matchers": matchers,
        "ends_at": ends_at,
        "comment": "x",
        "until_fixed": True,
    }
    answer = await api.ask("POST", "/v1/silences", json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, "not_one_subject")
