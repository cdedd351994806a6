"""What an enrolment key lets in: by name, address, number, date and approval. On both databases, over HTTP."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from app.admin import follow_ups
from app.core.clock import now
from app.decide import learn, missed, refused_agents
from app.decide import tick as decide
from tests.support import running
from tests.support.api import Api, serving


@pytest.fixture
async def api(database_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with serving(database_url, tmp_path) as api:
        yield api


async def key_with(api: Api, **limits: Any) -> tuple[str, str]:
    """Create an enrolment key; return it and its id."""
    [customer] = await api.items("/v1/customers")
    body = {"kind": "enrol", "name": "site B", "customer_id": customer["id"], **limits}
    made = await api.tell("POST", "/v1/keys", json=body)
    return made["key"], made["id"]


async def report(api: Api, key: str, *agents: str, outcome: str = "success") -> tuple[int, str | None]:
    """Report for agents at once; return the status and the code of the answer."""
    events = [{"agent": agent, "job": "nightly", "outcome": outcome} for agent in agents]
    answer = await api.ask("POST", "/v1/events", key=key, json=events if len(events) > 1 else events[0])
    return answer.status_code, answer.json().get("code")


async def names(api: Api, **which: str) -> list[str]:
    return sorted(agent["name"] for agent in await api.items("/v1/agents", **which))


async def test_only_names_that_match_are_let_in_and_the_answer_says_so(api: Api) -> None:
    key, key_id = await key_with(api, names=["b-*", "printer?"])
    assert await report(api, key, "B-sql01") == (202, None)
    assert await report(api, key, "printer1") == (202, None)
    assert await report(api, key, "sql01", outcome="failure") == (403, "enrol_name")
    assert await report(api, key, "sql01", "sql02") == (403, "all_rejected")
    mixed = await api.ask(
        "POST", "/v1/events", key=key, json=[{"agent": "x"}, {"agent": "b-1", "outcome": "success"}, {"agent": None}]
    )
    assert mixed.status_code == 202
    assert (mixed.json()["accepted"], [one["code"] for one in mixed.json()["rejected"]]) == (
        1,
        ["enrol_name", "agent_missing"],
    )
    assert await names(api) == ["B-sql01", "b-1", "printer1"]
    await api.app.state.intake.refusals.store()
    shown = await api.tell("GET", f"/v1/keys/{key_id}")
    assert (shown["refused_count"], shown["names"]) == (4, ["b-*", "printer?"])
    assert "'x'" in shown["refused_why"]
    assert 'tocsin_agents_not_let_in_total{rule="enrol_name"}' in (await api.ask("GET", "/metrics")).text


async def test_a_name_that_another_key_let_in_is_refused_too(api: Api) -> None:
    """Otherwise the key of one site could report the successes of another one."""
    await api.report({"agent": "a-sql01", "job": "db", "outcome": "failure"})
    key, _ = await key_with(api, names=["b-*"])
    assert await report(api, key, "a-sql01") == (403, "enrol_name")


@pytest.mark.parametrize(
    ("networks", "is_let_in"),
    [(["127.0.0.0/8"], True), (["10.0.0.0/8", "127.0.0.1"], True), (["10.0.0.0/8"], False), (["::/0"], False)],
)
async def test_only_addresses_of_its_networks_are_let_in(api: Api, networks: list[str], is_let_in: bool) -> None:
    key, _ = await key_with(api, from_addresses=networks)
    assert await report(api, key, "sql01") == ((202, None) if is_let_in else (403, "enrol_address"))
    for path in (f"/in/restic/{key}", f"/ping/{key}/nightly/fail", f"/api/push/{key}?status=down"):
        answer = await api.ask("POST", path, key="", content=b"failed")
        assert answer.status_code == (200 if is_let_in else 403), path
        assert is_let_in or answer.json()["code"] == "enrol_address"
    forged = await api.ask("POST", "/v1/events", key=key, json={"agent": "x"}, headers={"X-Forwarded-For": "10.0.0.1"})
    assert (forged.status_code == 202) is is_let_in, "a header of the client must not count"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("settings", "sent", "is_let_in"),
    [
        ({"TOCSIN_TRUSTED_PROXIES": "127.0.0.1"}, "10.1.2.3", True),
        ({"TOCSIN_TRUSTED_PROXIES": "127.0.0.1"}, "10.1.2.3, 192.0.2.7", False),  # the proxy saw 192.0.2.7
        ({"TOCSIN_TRUSTED_PROXIES": "192.0.2.1"}, "10.1.2.3", False),
        ({}, "10.1.2.3", False),
    ],
)
def test_only_a_proxy_that_a_setting_names_says_where_a_request_comes_from(
    tmp_path: Path, settings: dict[str, str], sent: str, is_let_in: bool
) -> None:
    with running.serving(tmp_path, **settings) as service:
        [customer] = service.ask("/v1/customers")["items"]
        body = {"kind": "enrol", "name": "x", "customer_id": customer["id"], "from_addresses": ["10.0.0.0/8"]}
        admin = {"Authorization": f"Bearer {service.admin_key}"}
        key = running.CLIENT.post(f"{service.url}/v1/keys", json=body, headers=admin).json()["key"]
        headers = {"Authorization": f"Bearer {key}", "X-Forwarded-For": sent}
        answer = running.CLIENT.post(f"{service.url}/v1/events", json={"agent": "a", "job": "b"}, headers=headers)
        assert answer.status_code == (202 if is_let_in else 403), answer.text


async def test_only_so_many_agents_are_let_in_whoever_asks_at_the_same_time(api: Api) -> None:
    key, _ = await key_with(api, agents_most=3)
    answers = await asyncio.gather(*(report(api, key, f"agent{number}") for number in range(12)))
    assert sorted(answers, key=str) == [(202, None)] * 3 + [(403, "enrol_most")] * 9
    let_in = await names(api)
    assert len(let_in) == 3
    for name in let_in:
        assert await report(api, key, name, outcome="failure") == (202, None), "who is in stays in"
    [first, *_] = await api.items("/v1/agents")
    assert first["enrolled_by"]


@pytest.mark.slow
async def test_after_its_date_a_key_lets_in_nobody_new_and_still_hears_the_others(api: Api) -> None:
    until = now() + timedelta(seconds=10)
    key, _ = await key_with(api, agents_until=until.isoformat())
    assert await report(api, key, "early") == (202, None)
    await asyncio.sleep((until - now()).total_seconds() + 0.01)  # it is compared with the clock of the service
    assert await report(api, key, "late") == (403, "enrol_until")
    assert await report(api, key, "early", outcome="failure") == (202, None)


async def test_a_host_that_is_refused_raises_one_alert_a_day(api: Api) -> None:
    key, _ = await key_with(api, names=["b-*"])
    for _ in range(3):
        await report(api, key, "sql01", outcome="failure")
        await api.app.state.intake.refusals.store()
        await refused_agents.tick(api.context)
        await decide.tick(api.context)
    [alert] = await api.items("/v1/alerts")
    assert "'sql01'" in alert["message"]
    [job] = await api.items("/v1/jobs")
    assert job["name"].startswith("enrolment key site B")


async def test_an_agent_on_approval_reports_its_failures_and_nothing_is_expected_of_it(api: Api) -> None:
    key, _ = await key_with(api, approve=True)
    assert await report(api, key, "new-host") == (202, None)
    expects = {"expects": {"next": (now() + timedelta(minutes=1)).isoformat(), "grace_s": 60}}
    event = {"agent": "new-host", "job": "announced", "outcome": "success", "extra": expects}
    assert (await api.ask("POST", "/v1/events", key=key, json=event)).status_code == 202
    await decide.tick(api.context)
    await learn.tick(api.context)
    await missed.tick(api.context)
    assert await names(api, state="waiting") == ["new-host"]
    assert {job["next_due_at"] for job in await api.items("/v1/jobs")} == {None}
    assert await report(api, key, "new-host", outcome="failure") == (202, None)
    await decide.tick(api.context)
    [alert] = await api.items("/v1/alerts")
    assert "waits for approval" in alert["reason"]
    [notice, *_] = await api.items("/v1/notices")
    assert "waits for approval" in notice["reason"]
    [agent] = await api.items("/v1/agents", state="waiting")
    approved = await api.tell("POST", f"/v1/agents/{agent['id']}:approve")
    assert approved["state"] == "approved"
    assert await names(api, state="waiting") == []
    [entry] = await api.items("/v1/audit", noun="agent")
    assert (entry["action"], entry["change"]["state"]) == ("approve", ["waiting", "approved"])
    event["extra"] = {"expects": {"next": (now() + timedelta(days=1)).isoformat()}}
    assert (await api.ask("POST", "/v1/events", key=key, json=event)).status_code == 202
    await decide.tick(api.context)
    assert [job["name"] for job in await api.items("/v1/jobs") if job["next_due_at"]] == ["announced"]
    assert (await api.ask("POST", f"/v1/agents/{agent['id']}:reject")).json()["code"] == "approved"


async def test_a_summary_counts_no_success_of_an_agent_that_waits_and_says_that_it_waits(api: Api) -> None:
    key, _ = await key_with(api, approve=True)
    await api.report({"agent": "known", "job": "a", "outcome": "success"})
    await report(api, key, "new-host")
    await decide.tick(api.context)
    schedules = await api.items("/v1/summary-schedules")
    address = f"/v1/summary-schedules/{schedules[0]['id']}:preview"

    async def preview() -> str:
        return (await api.ask("GET", address, headers={"Accept": "text/plain"})).text

    text = await preview()
    assert "1 agent waits for approval" in text
    assert "new-host" not in text
    await report(api, key, "new-host", outcome="failure")
    await decide.tick(api.context)
    assert "new-host" in await preview(), "its failures count"
    [agent] = await api.items("/v1/agents", state="waiting")
    await api.tell("POST", f"/v1/agents/{agent['id']}:reject")
    text = await preview()
    assert "new-host" not in text
    assert "waits for approval" not in text


async def test_a_rejected_agent_is_refused_until_it_is_approved(api: Api) -> None:
    key, _ = await key_with(api, approve=True)
    await report(api, key, "stranger", outcome="failure")
    await decide.tick(api.context)
    [agent] = await api.items("/v1/agents")
    await api.tell("POST", f"/v1/agents/{agent['id']}:reject")
    await follow_ups.tick(api.context)
    assert [alert["closed_at"] is not None for alert in await api.items("/v1/alerts")] == [True]
    for _ in range(2):
        assert await report(api, key, "stranger", outcome="failure") == (403, "agent_rejected")
    ping = await api.ask("POST", f"/ping/{key}/nightly/fail?agent=stranger", key="", content=b"backup failed")
    assert (ping.status_code, ping.json()["code"]) == (403, "agent_rejected")
    await api.tell("POST", f"/v1/agents/{agent['id']}:approve")
    assert await report(api, key, "stranger", outcome="failure") == (202, None)


async def test_limits_of_other_keys_and_broken_ones_are_refused(api: Api) -> None:
    [customer] = await api.items("/v1/customers")
    for limits in (
        {"names": ["x"], "kind": "viewer"},
        {"approve": True, "kind": "admin"},
        {"from_addresses": ["10.0.0.0/33"]},
        {"from_addresses": ["localhost"]},
        {"agents_most": 0},
        {"events_a_minute": 0},
        {"bytes_a_day": 1, "kind": "viewer"},
        {"agents_until": "2030-01-01T00:00:00"},
    ):
        owner = {} if "kind" in limits else {"customer_id": customer["id"]}
        answer = await api.ask("POST", "/v1/keys", json={"kind": "enrol", "name": "x"} | owner | limits)
        assert answer.status_code == 422, limits
        assert answer.json()["field"].partition("[")[0] == next(iter(limits))
