"""The live updates of pages: of what the reader may see, and of a bounded number of pages."""

import asyncio
import re
from collections.abc import AsyncIterator
from html import escape
from pathlib import Path

import pytest
from sqlalchemy import event
from starlette.requests import Request

from app.decide import tick as decide
from app.domain.person import Role
from app.http.pages import live, live_state
from app.http.pages.live_state import LiveState, LiveStreams, TooManyPages
from tests.support.api import Api, serving
from tests.support.browser import browsing, link_for, person, token_in


@pytest.fixture
async def api(database_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with serving(database_url, tmp_path) as api:
        yield api


async def test_what_happens_at_another_customer_changes_nothing(api: Api) -> None:
    [own] = await api.items("/v1/customers")
    other = await api.tell("POST", "/v1/customers", json={"name": "Other", "time_zone": "UTC"})

    async def read(seen: tuple[str, ...] | None) -> str:
        return await LiveState(api.context, seen).read()

    before = await read((other["id"],)), await read((own["id"],)), await read(None)
    await api.report({"agent": "files01", "job": "shares", "outcome": "failure"})
    while await decide.tick(api.context):
        pass
    after = await read((other["id"],)), await read((own["id"],)), await read(None)
    assert after[0] == before[0]
    assert after[1] != before[1]
    assert after[2] != before[2]


def test_one_person_keeps_no_more_pages_live_than_some_and_all_together_neither(api: Api) -> None:
    streams = LiveStreams(api.context)
    opened = [streams.opened("per_1", None) for _ in range(20)]
    states = {stream.__enter__() for stream in opened}
    assert len(states) == 1, "all who see the same share one reader"
    with pytest.raises(TooManyPages):
        streams.check("per_1")
    streams.check("per_2")
    others = [streams.opened(f"per_{2 + number // 20}", ("cus_1",)) for number in range(980)]
    for stream in others:
        stream.__enter__()
    with pytest.raises(TooManyPages):
        streams.check("per_99")
    for stream in (*opened, *others):
        stream.__exit__(None, None, None)
    streams.check("per_1")


async def test_who_is_not_signed_in_hears_nothing(api: Api) -> None:
    async with browsing(api) as browser:
        assert (await browser.get("/live")).headers["location"] == "/sign-in?next=/live"


@pytest.mark.slow
@pytest.mark.parametrize("change", ["sign out everywhere", "other customers"])
async def test_a_stream_ends_soon_after_its_session_or_its_rights_changed(
    api: Api, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    monkeypatch.setattr(live, "CHECK_SESSION_S", 0.0)
    [customer] = await api.items("/v1/customers")
    async with browsing(api) as owner, browsing(api) as browser:
        path = await link_for(api, await person(api, "ada@example.org", Role.OWNER))
        await owner.send(path, path)
        reader = await person(api, "robin@example.org", Role.READER)
        path = await link_for(api, reader)
        await browser.send(path, path)
        stream = asyncio.create_task(browser.get("/live"))
        done, _ = await asyncio.wait([stream], timeout=0.5)
        assert not done, "it goes on while nothing changes"
        if change == "other customers":
            sent = {"role": "reader", "sees": "chosen", "customer": customer["id"]}
            await owner.send("/people", f"/people/{reader.id}", **sent)
        else:
            await owner.send("/people", f"/people/{reader.id}/end")
        async with asyncio.timeout(10):
            assert "event: state" in (await stream).text


async def test_a_page_that_is_read_because_a_job_failed_counts_it(api: Api) -> None:
    async with browsing(api) as browser:
        path = await link_for(api, await person(api, "robin@example.org", Role.READER))
        await browser.send(path, path)
        await api.report({"key": "1", "agent": "files01", "job": "shares", "outcome": "success"})
        while await decide.tick(api.context):
            pass
        assert "The one job is ok" in (await browser.get("/")).text
        await api.report({"key": "2", "agent": "files01", "job": "shares", "outcome": "failure"})
        while await decide.tick(api.context):
            pass
        page = (await browser.get("/")).text
        assert "The one job is ok" not in page
        assert "1 failed" in page


async def test_while_jobs_keep_failing_open_pages_get_a_change_once_in_ten_seconds(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_state, "_LOOK_EVERY_S", 0.0)
    state = LiveState(api.context, None)

    async def fail(job: str) -> str:
        await api.report({"agent": "files01", "job": job, "outcome": "failure"})
        while await decide.tick(api.context):
            pass
        return await state.announced()

    quiet = await state.announced()
    monkeypatch.setattr(live_state, "ANNOUNCE_EVERY_S", 0.0)
    first = await fail("one")
    assert first != quiet, "after a quiet time at once"
    monkeypatch.setattr(live_state, "ANNOUNCE_EVERY_S", 3600.0)
    assert {await fail("two"), await fail("three")} == {first}
    monkeypatch.setattr(live_state, "ANNOUNCE_EVERY_S", 0.0)
    assert await state.announced() != first, "the last change is sent, although nothing follows it"


async def test_what_changed_while_a_page_was_loaded_is_sent_with_its_first_event(api: Api) -> None:
    async with browsing(api) as browser:
        path = await link_for(api, await person(api, "robin@example.org", Role.READER))
        await browser.send(path, path)
        page = (await browser.get("/")).text
        stamp = await LiveStreams(api.context).stamp(None)
        assert f'data-stamp="{stamp}"' in page
        await api.report({"agent": "files01", "job": "shares", "outcome": "failure"})
        while await decide.tick(api.context):
            pass
        assert await LiveStreams(api.context).stamp(None) != stamp


async def test_every_page_has_the_number_of_problems_that_nobody_acknowledged_and_is_live(api: Api) -> None:
    async with browsing(api) as browser, browsing(api) as stranger:
        path = await link_for(api, await person(api, "robin@example.org", Role.OWNER))
        await browser.send(path, path)
        other = await api.tell("POST", "/v1/customers", json={"name": "Other", "time_zone": "UTC"})
        path = await link_for(api, await person(api, "kim@example.org", Role.OPERATOR, (other["id"],)))
        await stranger.send(path, path)
        for job in ("shares", "mails"):
            await api.report({"agent": "files01", "job": job, "outcome": "failure", "message": f"{job} is broken"})
        while await decide.tick(api.context):
            pass
        live_state.streams_of(Request({"type": "http", "app": api.app}), api.context).forget_counts()
        [job, *_] = await api.items("/v1/jobs")
        paths = ["/", "/alerts", "/jobs", f"/job/{job['id']}", "/messages", "/more", "/account", "/service", "/relays"]
        paths += ["/routing", "/routing/routes/new", "/connect", "/people"]
        for path in paths:
            page = (await browser.get(path)).text
            assert re.findall(r"data-hot[^>]*>(\d+)<", page) == ["2", "2"], path
            assert 'aria-label="2 not acknowledged"' in page
            assert re.search(r'data-live="\w+" data-stamp="[0-9a-f]{16}"', page), path
        assert re.findall(r"data-hot( hidden)?>(\d+)<", (await stranger.get("/jobs")).text) == [(" hidden", "0")]
        [alert, _] = await api.items("/v1/alerts")
        await browser.send("/jobs", "/act/acknowledge", id=alert["id"], back="/jobs")
        assert re.findall(r"data-hot[^>]*>(\d+)<", (await browser.get("/jobs")).text) == ["1", "1"]


async def test_all_who_see_the_same_cost_one_count_of_each_change(api: Api) -> None:
    streams = LiveStreams(api.context)
    await api.report({"agent": "files01", "job": "shares", "outcome": "failure"})
    while await decide.tick(api.context):
        pass
    reads: list[object] = []
    event.listen(api.context.database.engines.reader.sync_engine, "engine_connect", reads.append)
    marks = await asyncio.gather(*(streams.mark(None) for _ in range(50)))
    assert {mark.unacknowledged for mark in marks} == {1}
    assert len(reads) == 2, "one read of the state, and one of the open alerts"


async def test_two_people_who_see_the_same_have_their_own_names_and_tokens(api: Api) -> None:
    tokens = set()
    for name in ("robin&co", "kim"):
        async with browsing(api) as browser:
            path = await link_for(api, await person(api, f"{name}@example.org", Role.OPERATOR))
            await browser.send(path, path)
            page = await browser.get("/")
            tokens.add(token_in(page))
            assert f">{escape(name)}</a>" in page.text
            assert "name-" not in page.text.partition("<main")[0]
    assert len(tokens) == 2
