"""The page of a job: the form of when it should run, who would be notified, and its charts as a table."""

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from app.domain.person import Role
from app.worker import run
from tests.support.api import Api, serving
from tests.support.browser import Browser, browsing, link_for, person


@pytest.fixture
async def api(sqlite_database_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with serving(sqlite_database_url, tmp_path, work=run) as api:
        yield api


async def _job(api: Api, browser: Browser, role: Role = Role.ADMINISTRATOR) -> str:
    """Report a success, sign somebody in, and return the path of the page of the job."""
    path = await link_for(api, await person(api, "robin@example.org", role))
    await browser.send(path, path)
    await api.report({"key": "1", "agent": "files01", "job": "shares", "outcome": "success"})
    for _ in range(300):
        found = await api.items("/v1/jobs")
        if found:
            return f"/job/{found[0]['id']}"
        await asyncio.sleep(0.1)
    raise AssertionError("no job appeared")


@pytest.mark.parametrize(
    ("cron", "zone", "grace", "says"),
    [
        ("0 25 * * *", "UTC", "60", "0 25 * * *"),
        ("every night", "UTC", "60", "every night"),
        ("0 2 * * *", "Mars/Olympus", "60", "the time zone"),
        ("0 2 * * *", "UTC", "-5", "must be a number of minutes, at most a year"),
    ],
)
async def test_a_schedule_that_is_refused_is_shown_again_with_the_reason(
    api: Api, cron: str, zone: str, grace: str, says: str
) -> None:
    async with browsing(api) as browser:
        page = await _job(api, browser)
        form = {"id": page.removeprefix("/job/"), "back": page, "cron": cron, "zone": zone, "grace_min": grace}
        answer = await browser.send(page, "/act/expect", **form)
        assert answer.status_code == 422
        refusal = answer.text[answer.text.index("Not saved.") :][:600]
        assert says in refusal
        assert f'value="{cron}"' in answer.text, "what was typed is not lost"
        assert f'value="{zone}"' in answer.text
        [job] = await api.items("/v1/jobs")
        assert job["expectation"] is None


async def test_a_schedule_is_explained_with_the_grace_that_is_typed_and_then_saved(api: Api) -> None:
    async with browsing(api) as browser:
        page = await _job(api, browser)
        asked = "/schedule/explained?cron=0+2+*+*+*&zone=UTC&grace_min=10"
        explained = (await browser.get(asked)).text
        assert "daily at 02:00 (UTC)" in explained
        assert explained.count("02:00</time>") == 5
        assert "02:10</time>" in explained, "missed after the grace of ten minutes"
        assert "the time zone" in (await browser.get(asked.replace("UTC", "Mars"))).text
        form = {"id": page.removeprefix("/job/"), "back": page, "cron": "0 2 * * *", "zone": "UTC", "grace_min": "10"}
        assert (await browser.send(page, "/act/expect", **form)).status_code == 303
        shown = (await browser.get(page)).text
        assert "daily at 02:00 (UTC)" in shown
        assert "Grace: 10 min." in shown


async def test_a_period_is_explained_without_scripts_stored_and_shown_in_the_form_again(api: Api) -> None:
    async with browsing(api) as browser:
        page = await _job(api, browser)
        form = {"id": page.removeprefix("/job/"), "back": page, "every": "6", "unit": "h", "grace_min": "30"}
        explained = await browser.send(page, "/act/expect", **form, what="explain")
        assert "Not saved yet. It would mean:" in explained.text
        assert "at least every 6 hours" in explained.text
        assert "Counted from each report." in explained.text
        assert 'name="every" min="1" max="2628000" value="6"' in explained.text
        [job] = await api.items("/v1/jobs")
        assert job["expectation"] is None, "explaining stores nothing"
        assert (await browser.send(page, "/act/expect", **form, what="set")).status_code == 303
        [job] = await api.items("/v1/jobs")
        assert (job["expectation"]["period_s"], job["expectation"]["grace_s"]) == (6 * 3600, 30 * 60)
        shown = (await browser.get(page)).text
        assert "at least every 6 hours" in shown
        assert 'name="every" min="1" max="2628000" value="6"' in shown
        assert '<option value="h" selected>' in shown
        typed = (await browser.get("/schedule/explained?cron=&every=2&unit=d&zone=UTC&grace_min=60")).text
        assert "at least every 2 days" in typed


@pytest.mark.parametrize(
    ("cron", "every", "unit", "what", "says"),
    [
        ("", "", "h", "set", "enter a schedule or a period"),
        ("0 2 * * *", "6", "h", "explain", "enter a schedule or a period, not both"),
        ("", "0", "min", "set", "a period must be a whole number"),
        ("", "99999", "d", "set", "a period must be a whole number"),
        ("", "6", "weeks", "explain", "a period must be a whole number"),
        ("", "six", "h", "set", "a period must be a whole number"),
    ],
)
async def test_a_period_that_is_none_is_refused_with_its_reason(
    api: Api, cron: str, every: str, unit: str, what: str, says: str
) -> None:
    async with browsing(api) as browser:
        page = await _job(api, browser)
        form = {"id": page.removeprefix("/job/"), "back": page, "cron": cron, "every": every, "unit": unit}
        answer = await browser.send(page, "/act/expect", **form, what=what)
        assert answer.status_code == 422
        assert says in answer.text[answer.text.index("Not saved.") :][:300]
        [job] = await api.items("/v1/jobs")
        assert job["expectation"] is None


async def test_each_run_with_a_log_leads_to_it(api: Api) -> None:
    async with browsing(api) as browser:
        page = await _job(api, browser)
        for key, log in (("2", "first\nlog"), ("3", "second log")):
            await api.report({"key": key, "agent": "files01", "job": "shares", "outcome": "success", "log": log})
        text, logs = "", []
        for _ in range(300):
            text = (await browser.get(page)).text
            logs = re.findall(r'href="(/event/evt_\w+/log)" aria-label', text)
            if len(logs) == 2:
                break
            await asyncio.sleep(0.1)
        assert len(re.findall(r'href="/proof/run_', text)) == 3, "the run without a log has none"
        assert sorted([(await browser.get(path)).text for path in logs]) == ["first\nlog", "second log"]


async def test_it_says_who_would_be_notified_who_not_and_why(api: Api) -> None:
    kim = await api.tell(
        "POST",
        "/v1/recipients",
        json={"name": "Kim", "transports": [{"transport": "file", "address": "kim@example.org"}]},
    )
    condition = {"field": "agent", "test": "like", "value": "sql*"}
    for name, more in (("sql", {"matchers": [condition]}), ("off", {"enabled": False}), ("late", {"position": 900})):
        await api.tell("POST", "/v1/routes", json={"name": name, "recipients": [kim["id"]], **more})
    async with browsing(api) as browser:
        page = await _job(api, browser, Role.READER)
        shown = (await browser.get(page)).text
        panel = shown[shown.index('id="who"') : shown.index('id="when"')]
        assert "<b>admin</b>" in panel
        assert "needs: agent is like “sql*”" in panel
        assert "“off”: it is switched off" in panel
        assert "“late”: an earlier route ends the search" in panel
    [customer] = await api.items("/v1/customers")
    async with browsing(api) as browser:
        path = await link_for(api, await person(api, "of-one@example.org", Role.READER, (customer["id"],)))
        await browser.send(path, path)
        shown = (await browser.get(page)).text
        assert "Kim" not in shown, "routes that do not match can name other customers"


async def test_an_unclear_job_asks_how_it_ended(api: Api) -> None:
    async with browsing(api) as browser:
        path = await _job(api, browser, Role.OPERATOR)
        await api.report(
            {"key": "2", "agent": "files01", "job": "shares", "outcome": "unclear", "message": "2 of 3 media"}
        )
        async with asyncio.timeout(60):
            while not (found := await api.items("/v1/alerts", state="open")):  # noqa: ASYNC110  (another task decides)
                await asyncio.sleep(0.05)
        page = (await browser.get(path)).text
        assert "How did it end?" in page
        assert "It was a success" in page
        await browser.send(path, "/act/teach", id=found[0]["event_id"], outcome="failure", back=path)
        async with asyncio.timeout(60):
            while "How did it end?" in (await browser.get(path)).text:  # noqa: ASYNC110  (another task decides)
                await asyncio.sleep(0.05)
