"""Names that look the same are one name, wherever they come in; texts show what is hidden in them. Over HTTP."""

# ruff: noqa: RUF001  (letters that look like others are what is tested)

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from app.decide import tick as decide
from tests.support.api import ENROL_KEY, Api, serving

LOOK_ALIKES = [
    "ad\u200bmin",
    "admin\u2060",
    "\u202aadmin\u202c",
    "ａｄｍｉｎ",
    "ad\u00admin\ufeff",
    "admin\x85",
    "ad\U000e0061min",
]


@pytest.fixture
async def api(database_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with serving(database_url, tmp_path) as api:
        yield api


async def names(api: Api, path: str) -> list[str]:
    return sorted({one["name"] for one in await api.items(path)})


async def test_look_alike_agents_and_jobs_cannot_be_made_by_reports(api: Api) -> None:
    for number, name in enumerate(["admin", *LOOK_ALIKES]):
        await api.report(
            {"agent": name, "job": name, "outcome": "failure", "key": str(number), "labels": {name: name, "x": "ok"}}
        )
        ping = await api.ask("POST", f"/ping/{ENROL_KEY}/x", params={"agent": name}, key="")
        assert ping.status_code == 200
    await decide.tick(api.context)
    assert await names(api, "/v1/agents?limit=200") == ["admin"]
    jobs = await api.items("/v1/jobs")
    assert [job["labels"] for job in jobs if job["name"] == "admin"] == [{"admin": "admin", "x": "ok"}]


@pytest.mark.parametrize("name", LOOK_ALIKES)
async def test_look_alikes_cannot_be_made_by_administrators(api: Api, name: str) -> None:
    [customer] = await api.items("/v1/customers")
    owner = {"customer_id": customer["id"]}
    for path, body in (
        ("/v1/customers", {}),
        ("/v1/agents", owner),
        ("/v1/recipients", {"transports": [{"transport": "file", "address": "a@example.org"}]}),
        ("/v1/relays", {}),
    ):
        made = await api.tell("POST", path, json={"name": path + "admin", **body})
        look_alike = await api.ask("POST", path, json={"name": path + name, **body})
        assert (look_alike.status_code, look_alike.json()["code"]) == (409, "name_taken"), path
        [found] = [one for one in await api.items(path, name=path + name) if one["name"] == path + "admin"]
        assert found["name"] == made["name"]
    key = await api.tell(
        "POST", "/v1/keys", json={"kind": "enrol", "name": name, "names": ["*" + name], "job": name, **owner}
    )
    assert (key["name"], key["names"], key["job"]) == ("admin", ["*admin"], "admin")
    labelled = await api.tell("POST", "/v1/agents", json={"name": "l", "labels": {name: name}, **owner})
    assert labelled["labels"] == {"admin": "admin"}


async def test_two_keys_whose_difference_nobody_sees_are_two_events(api: Api) -> None:
    """Taken for a duplicate, a failure would be lost."""
    for key in ("run 1", "run\u200b 1", "run\u2060 1", "run １"):
        await api.report({"agent": "a", "job": "b", "outcome": "failure", "key": key})
    assert len(await api.items("/v1/events")) == 4
    again = await api.tell(
        "POST", "/v1/events", key=ENROL_KEY, json={"agent": "a", "job": "b", "outcome": "failure", "key": "run １"}
    )
    assert again["duplicates"] == 1


async def test_texts_show_what_is_hidden_and_stay_readable(api: Api) -> None:
    message = "fai\u200bled \u202etxt.exe 👩\u200d💻 می\u200cخواهم क्\u200dष"
    await api.report(
        {
            "agent": "a",
            "job": "b",
            "outcome": "failure",
            "message": message,
            "log": message,
            "extra": {"k\u2060": [message]},
        }
    )
    await decide.tick(api.context)
    shown = "fai⟨U+200B⟩led ⟨U+202E⟩txt.exe 👩\u200d💻 می\u200cخواهم क्\u200dष"
    [event] = await api.items("/v1/events")
    event = await api.tell("GET", f"/v1/events/{event['id']}")
    assert (event["message"], event["log"], event["extra"]) == (shown, shown, {"k⟨U+2060⟩": [shown]})
    [alert] = await api.items("/v1/alerts")
    assert alert["message"] == shown


async def test_a_word_with_a_hidden_character_is_read_as_the_word(api: Api) -> None:
    event = {"agent": "a", "job": "b", "outcome": "fai\u200bled", "message": "backup"}
    await api.report(event)
    [stored] = await api.items("/v1/events")
    assert stored["outcome"] == "failure"


async def test_a_rule_finds_its_job_however_wide_its_brackets_are(api: Api) -> None:
    matcher = {"field": "job", "test": "like", "value": "*（每日）"}
    [admin] = await api.items("/v1/recipients")
    route = {"name": "daily", "position": 0, "matchers": [matcher], "recipients": [admin["id"]]}
    made = await api.tell("POST", "/v1/routes", json=route)
    await api.report({"agent": "a", "job": "備份（每日）", "outcome": "failure"})
    await decide.tick(api.context)
    assert made["id"] in {notice["route_id"] for notice in await api.items("/v1/notices")}
