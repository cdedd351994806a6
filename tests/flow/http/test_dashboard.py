"""The dashboard's pages, without JavaScript: what they show, what their buttons do, and what an event's text cannot do to them."""

import asyncio
import re
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import update

from app.core.clock import now
from app.domain.person import Role
from app.store.tables import alerts, jobs
from app.worker import run
from tests.support.api import Api, serving
from tests.support.browser import Browser, browsing, link_for, person, token_in

_MARKUP = '"><script>alert(1)</script><img src=x onerror=alert(1)>'


@pytest.fixture
async def api(sqlite_database_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with serving(sqlite_database_url, tmp_path, work=run) as api:
        yield api


async def _opened(api: Api, browser: Browser, role: Role = Role.OPERATOR) -> str:
    """Report a failure whose every text is markup, sign somebody in, and return the id of the alert."""
    path = await link_for(api, await person(api, "robin@example.org", role))
    await browser.send(path, path)
    names = {"key": "1", "agent": "files01" + _MARKUP, "job": "shares" + _MARKUP, "outcome": "failure"}
    texts = {"message": _MARKUP, "log": _MARKUP, "labels": {"tool": _MARKUP}, "metrics": {"duration_s": 4}}
    await api.report({**names, **texts})
    for _ in range(200):
        found = await api.items("/v1/alerts", state="open")
        if found:
            return str(found[0]["id"])
        await asyncio.sleep(0.1)
    raise AssertionError("no alert opened")


async def test_no_page_shows_markup_of_an_event_as_markup_or_has_a_script_or_style_in_it(api: Api) -> None:
    async with browsing(api) as browser:
        alert_id = await _opened(api, browser)
        alert = await api.tell("GET", f"/v1/alerts/{alert_id}")
        pages = ["/", "/alerts", "/alerts?tab=closed", "/jobs", f"/job/{alert['job_id']}", f"/proof/{alert_id}"]
        pages += [f"/proof/{alert['event_id']}", "/messages", "/more", "/?q=%22%3E%3Cscript%3E", "/jobs?q=%3Cimg"]
        for path in pages:
            page = await browser.get(path)
            assert page.status_code == 200, (path, page.text[:300])
            policy = page.headers["content-security-policy"]
            assert "unsafe" not in policy
            assert "http" not in policy
            assert "<img" not in page.text
            assert "alert(1)</script>" not in page.text
            assert re.findall(r"<script(?! src=\"/assets/)", page.text) == []
            assert re.findall(r"\s(?:style|onclick|onerror)=\"", page.text) == [], path
            assert len(page.content) < 150_000


async def test_an_acknowledgement_is_undone_within_its_ten_seconds(api: Api) -> None:
    async with browsing(api) as browser:
        alert_id = await _opened(api, browser)
        answer = await browser.send("/alerts", "/act/acknowledge", id=alert_id, comment="a new disk", back="/alerts")
        assert answer.status_code == 303
        taken = await api.tell("GET", f"/v1/alerts/{alert_id}")
        assert taken["acknowledged_by"] == "robin (a new disk)"
        page = await browser.get(answer.headers["location"])
        undo = re.search(r'name="undo" value="([^"]+)"', page.text)
        assert undo is not None
        await browser.client.post("/act/undo", data={"csrf": token_in(page), "undo": undo[1], "back": "/"})
        assert (await api.tell("GET", f"/v1/alerts/{alert_id}"))["acknowledged_at"] is None


async def test_a_row_has_a_comment_and_close_of_its_own_and_its_menu_names_the_day(api: Api) -> None:
    async with browsing(api) as browser:
        alert_id = await _opened(api, browser)
        page = await browser.get("/alerts")
        form = re.search(rf'<form method="post" id="row-{alert_id}".*?</form>', page.text, re.DOTALL)
        assert form is not None
        assert f'value="{alert_id}"' in form[0]
        assert f'name="comment" maxlength="180" form="row-{alert_id}"' in page.text
        assert f'<button form="row-{alert_id}" formaction="/act/close">Close it</button>' in page.text
        mornings = re.findall(
            rf'value="(morning:[0-9-]{{10}})" form="row-{alert_id}"[^>]*>until (?:today|tomorrow) 08:00 \((.*?)\)<',
            page.text,
        )
        assert mornings
        await browser.send("/alerts", "/act/silence", **{"for": mornings[-1][0]}, id=alert_id, back="/alerts")
        [silence] = await api.items("/v1/silences")
        ends_at = datetime.fromisoformat(silence["ends_at"])
        assert f"{ends_at:%a} {ends_at.day} {ends_at:%b}" == mornings[-1][1]
        await browser.send("/alerts", "/act/close", id=alert_id, comment="it was a test", back="/alerts")
        assert "it was a test" in (await api.tell("GET", f"/v1/alerts/{alert_id}"))["closed_reason"]


@pytest.mark.slow
async def test_a_page_of_many_causes_lists_some_alerts_of_each_and_stays_small(api: Api) -> None:
    async with browsing(api) as browser:
        path = await link_for(api, await person(api, "robin@example.org", Role.OPERATOR))
        await browser.send(path, path)
        for cause in range(26):
            text = {"outcome": "failure", "phase": "finished", "message": f"disk {chr(97 + cause)} full"}
            await api.report(*({**text, "agent": f"a{cause}", "job": f"j{one}"} for one in range(25)))
        async with asyncio.timeout(60):
            while len(await api.items("/v1/alerts", state="open")) < 650:  # noqa: ASYNC110  (the test observes a worker)
                await asyncio.sleep(0.1)
        page = await browser.get("/alerts")
        assert page.text.count("20 more alerts; filter to see them.") == 25
        assert "1 more problem; filter to see it." in page.text
        assert len(page.text) < 150_000
        more = await browser.get("/alerts?more=1")
        assert more.text.count("20 more alerts; filter to see them.") == 26
        one = await browser.get("/alerts?q=disk+c+full")
        assert "more alerts" not in one.text
        assert one.text.count('class="pick"') == 26


async def test_now_and_metrics_count_alerts_that_no_route_led_to_anybody(api: Api) -> None:
    async with browsing(api) as browser:
        [everything] = await api.items("/v1/routes")
        kim = await api.tell(
            "POST",
            "/v1/recipients",
            json={"name": "kim", "transports": [{"transport": "smtp", "address": "kim@example.org"}]},
        )
        only_backups = {"matchers": [{"field": "agent", "value": "backups"}], "recipients": [kim["id"]]}
        await api.tell("PATCH", f"/v1/routes/{everything['id']}", json=only_backups)
        alert_id = await _opened(api, browser)
        page = await browser.get("/")
        assert "1 open alert was sent to nobody: no route matches it" in page.text
        assert "\ntocsin_alerts_to_nobody 1.0\n" in (await api.ask("GET", "/metrics")).text
        await browser.send("/alerts", "/act/acknowledge", id=alert_id, back="/alerts")
        assert "was sent to nobody" not in (await browser.get("/")).text


async def test_a_morning_that_has_passed_silences_nothing(api: Api) -> None:
    async with browsing(api) as browser:
        alert_id = await _opened(api, browser)
        passed = {"for": "morning:2020-01-01", "id": alert_id, "back": "/alerts"}
        await browser.send("/alerts", "/act/silence", **passed)
        answer = await browser.send("/alerts", "/act/silence", **passed)
        assert "That morning has passed" in (await browser.get(answer.headers["location"])).text
        assert await api.items("/v1/silences") == []


async def test_who_acknowledges_what_somebody_has_does_not_read_that_it_is_theirs(api: Api) -> None:
    async with browsing(api) as browser:
        alert_id = await _opened(api, browser)
        await api.tell("POST", f"/v1/alerts/{alert_id}:acknowledge", json={"name": "kim"})
        answer = await browser.send("/alerts", "/act/acknowledge", id=alert_id, back="/alerts")
        assert answer.headers["location"].startswith("/alerts?trouble=stale_edit&by=")
        assert (await api.tell("GET", f"/v1/alerts/{alert_id}"))["acknowledged_by"] == "kim"


async def test_an_operator_cannot_teach_that_a_failure_was_a_success(api: Api) -> None:
    async with browsing(api) as browser:
        alert_id = await _opened(api, browser)
        event_id = (await api.tell("GET", f"/v1/alerts/{alert_id}"))["event_id"]
        refused = await browser.send("/alerts", "/act/teach", id=event_id, outcome="success")
        assert refused.status_code == 404
        assert (await api.tell("GET", f"/v1/alerts/{alert_id}"))["closed_at"] is None


async def test_a_closed_alert_is_open_again_after_undo(api: Api) -> None:
    async with browsing(api) as browser:
        alert_id = await _opened(api, browser)
        answer = await browser.send("/alerts", "/act/close", id=alert_id, back="/alerts")
        assert (await api.tell("GET", f"/v1/alerts/{alert_id}"))["closed_at"] is not None
        page = await browser.get(answer.headers["location"])
        undo = re.search(r'name="undo" value="([^"]+)"', page.text)
        assert undo is not None
        await browser.client.post("/act/undo", data={"csrf": token_in(page), "undo": undo[1], "back": "/"})
        assert (await api.tell("GET", f"/v1/alerts/{alert_id}"))["closed_at"] is None


async def test_nobody_undoes_what_another_of_the_same_name_did(api: Api) -> None:
    async with browsing(api) as browser:
        alert_id = await _opened(api, browser)
        key = (await api.tell("POST", "/v1/keys", json={"kind": "admin", "name": "robin"}))["key"]
        about = [{"field": field, "test": "is", "value": value} for field, value in (("agent", "a"), ("job", "b"))]
        now = api.context.clock()
        silence = {"matchers": about, "comment": "x", "starts_at": now.isoformat()}
        silence |= {"ends_at": (now + timedelta(hours=1)).isoformat()}
        made = await api.tell("POST", "/v1/silences", key=key, json=silence)
        await api.tell("POST", f"/v1/alerts/{alert_id}:close", key=key, json={"reason": "done"})
        closed_at = (await api.tell("GET", f"/v1/alerts/{alert_id}"))["closed_at"]
        for undo in (f"closed {closed_at}", f"silenced {made['starts_at']}"):
            answer = await browser.send("/account", "/act/undo", undo=undo, back="/alerts")
            assert "done=undone&n=0" in answer.headers["location"]
        assert (await api.tell("GET", f"/v1/alerts/{alert_id}"))["closed_at"] == closed_at
        assert [one["id"] for one in await api.items("/v1/silences")] == [made["id"]]


async def test_what_is_fixed_already_cannot_be_silenced_until_it_is_fixed(api: Api) -> None:
    async with browsing(api) as browser:
        alert_id = await _opened(api, browser)
        silenced = await browser.send("/alerts", "/act/silence", id=alert_id, back="/alerts", **{"for": "fixed"})
        assert silenced.headers["location"].startswith("/alerts?done=silenced&n=1&")
        await browser.send("/alerts", "/act/close", id=alert_id, back="/alerts")
        refused = await browser.send("/alerts", "/act/silence", id=alert_id, back="/alerts", **{"for": "fixed"})
        assert refused.headers["location"].startswith("/alerts?trouble=stale_edit&by=")
        assert len(await api.items("/v1/silences")) == 1
        silenced = await browser.send("/alerts", "/act/silence", id=alert_id, back="/alerts", **{"for": "4h"})
        assert silenced.headers["location"].startswith("/alerts?done=silenced&n=1&")


async def test_a_reader_sees_no_button_and_can_press_none(api: Api) -> None:
    async with browsing(api) as browser:
        alert_id = await _opened(api, browser, Role.READER)
        assert "/act/acknowledge" not in (await browser.get("/")).text
        refused = await browser.send("/more", "/act/acknowledge", id=alert_id)
        assert refused.status_code == 404
        assert (await api.tell("GET", f"/v1/alerts/{alert_id}"))["acknowledged_at"] is None


async def test_a_form_without_its_token_and_a_visitor_without_a_session_change_nothing(api: Api) -> None:
    async with browsing(api) as browser, browsing(api) as stranger:
        alert_id = await _opened(api, browser)
        assert (await browser.client.post("/act/close", data={"id": alert_id})).status_code == 403
        assert (await stranger.get("/")).headers["location"] == "/sign-in"
        assert (await stranger.client.post("/act/close", data={"id": alert_id})).status_code in (303, 401, 403)
        assert (await api.tell("GET", f"/v1/alerts/{alert_id}"))["closed_at"] is None


@pytest.mark.parametrize(
    "path",
    [
        "/alerts",
        "/jobs",
        "/messages",
        "/proof",
        "/job",
        "/people",
        "/reading",
        "/sign-out",
        "/sign-in",
        "/routing",
        "/connect",
    ],
)
async def test_the_name_of_a_page_can_still_be_a_topic_to_which_a_tool_reports(api: Api, path: str) -> None:
    answer = await api.client.post(
        path, content="backup failed", headers={"Authorization": "Bearer an-enrol-key-for-tests"}
    )
    assert answer.status_code == 200, answer.text


async def test_an_address_that_somebody_else_made_does_not_say_that_something_was_done(api: Api) -> None:
    async with browsing(api) as browser:
        alert_id = await _opened(api, browser)
        answer = await browser.send("/alerts", "/act/acknowledge", id=alert_id, back="/alerts")
        shown_at = answer.headers["location"]
        assert "You acknowledged 1 alert." in (await browser.get(shown_at)).text
        unsigned, _, by = shown_at.rpartition("&by=")
        for forged in (
            unsigned,
            shown_at.replace("n=1", "n=9"),
            f"/?done=closed&n=3&at=2026-01-01&by={by}",
            "/?trouble=x",
        ):
            page = (await browser.get(forged)).text
            assert 'class="undo"' not in page
            assert 'class="msg fail"' not in page


async def test_a_job_whose_run_hangs_or_ended_unclear_looks_well_on_no_page(api: Api) -> None:
    async with browsing(api) as browser:
        await _opened(api, browser)
        await api.report({"key": "2", "agent": "sql01", "job": "hangs", "outcome": "success"})
        await api.report(
            {"key": "3", "agent": "sql01", "job": "nightly", "outcome": "unclear", "message": "Backup of sql01"}
        )
        for _ in range(200):
            if len(await api.items("/v1/runs", agent="sql01")) == 2:
                break
            await asyncio.sleep(0.1)
        async with api.context.database.write() as tx:  # as the clock does where the rule `overrun` is disabled
            hangs = update(jobs).where(jobs.c.name == "hangs").values(overrun_since=now() - timedelta(minutes=1))
            await tx.connection.execute(hangs)
            await tx.connection.execute(update(alerts).values(closed_at=now(), closed_reason="seen"))
        for state, name, other in (("overrun", "hangs", "nightly"), ("unclear", "nightly", "hangs")):
            page = (await browser.get(f"/jobs?state={state}")).text
            assert f">{name}<" in page
            assert f">{other}<" not in page
        assert ">hangs<" not in (await browser.get("/jobs?state=ok")).text
        [job] = [one for one in await api.items("/v1/jobs") if one["name"] == "hangs"]
        assert "Overrun" in (await browser.get(f"/job/{job['id']}")).text
