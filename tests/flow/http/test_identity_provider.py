"""Signing in by a real identity provider (oidc-provider): who comes in, with which rights, and what is refused."""

from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from app.domain.person import Role
from app.http.pages.provider import CALLBACK
from tests.support.api import Api, serving
from tests.support.browser import Browser, browsing, link_for, person
from tests.support.identity_provider import CLIENT_ID, CLIENT_SECRET, RunningProvider, running_provider
from tests.support.movable_clock import MovableClock

pytestmark = pytest.mark.needs("npm")
KIM = {"email": "kim@example.org", "email_verified": True, "name": "Kim Lee", "groups": ["staff", "backup"]}


@pytest.fixture(scope="module")
def running() -> Iterator[RunningProvider]:
    with running_provider(f"http://tocsin.test{CALLBACK}") as provider:
        yield provider


@pytest.fixture
def provider(running: RunningProvider) -> RunningProvider:
    running.set_up(people={"kim": KIM}, who="kim")
    return running


@pytest.fixture
def clock() -> MovableClock:
    return MovableClock()


def settings_for(provider: RunningProvider, **more: object) -> dict[str, object]:
    return {
        "oidc_issuer": provider.issuer,
        "oidc_client_id": CLIENT_ID,
        "oidc_client_secret": CLIENT_SECRET,
        "oidc_scopes": "openid email profile groups",
        "oidc_groups": "chiefs = owner; backup = operator; acme-it = reader: My backups",
        "oidc_new_people": True,
        "oidc_label": "Sign in with Acme ID",
    } | more


@pytest.fixture
async def api(database_url: str, tmp_path: Path, clock: MovableClock, provider: RunningProvider) -> AsyncIterator[Api]:
    async with serving(database_url, tmp_path, clock=clock, **settings_for(provider)) as api:
        yield api


async def come(browser: Browser, provider: RunningProvider, start: str = "/sign-in/provider") -> httpx.Response:
    """Go to the provider and back."""
    leaving = await browser.get(start)
    assert leaving.status_code == 303, leaving.text
    return await browser.get(await provider.walk(leaving.headers["location"]))


async def test_a_new_person_comes_in_with_the_rights_of_their_group(api: Api, provider: RunningProvider):
    async with browsing(api) as browser:
        where = (await browser.get("/messages")).headers["location"]
        page = await browser.get(where)
        assert "Sign in with Acme ID" in page.text
        assert 'href="/sign-in/provider?next=/messages"' in page.text
        answer = await come(browser, provider, "/sign-in/provider?next=/messages")
        assert (answer.status_code, answer.headers["location"]) == (303, "/messages")
        account = await browser.get("/account")
        assert "kim@example.org" in account.text
        assert (await browser.get("/people")).status_code == 404  # an operator
    actions = [one["action"] for one in await api.items("/v1/audit", noun="person")]
    assert actions == ["sign in", "create"]


@pytest.mark.parametrize("return_to", ["//evil.example", "/\\evil.example", "https://evil.example"])
async def test_the_way_back_leads_to_no_other_site(api: Api, provider: RunningProvider, return_to: str):
    async with browsing(api) as browser:
        leaving = await browser.client.get("/sign-in/provider", params={"next": return_to})
        answer = await browser.get(await provider.walk(leaving.headers["location"]))
        assert answer.headers["location"] == "/"


async def test_groups_count_at_each_sign_in(api: Api, provider: RunningProvider):
    async with browsing(api) as browser, browsing(api) as later, browsing(api) as refused:
        await come(browser, provider)
        provider.set_up(people={"kim": KIM | {"groups": ["chiefs", "backup"]}})
        await come(later, provider)
        assert (await browser.get("/people")).status_code == 200
        provider.set_up(people={"kim": KIM | {"groups": ["staff"]}})
        answer = await come(refused, provider)
        assert answer.status_code == 401
        assert "none of your groups may sign in" in answer.text
        assert (await browser.get("/account")).status_code == 303  # signed out everywhere
        provider.set_up(people={"kim": KIM | {"groups": ["acme-it"]}})
        assert (await come(refused, provider)).status_code == 303
        assert (await refused.get("/people")).status_code == 404


async def test_who_refuses_at_the_provider_is_not_signed_in(api: Api, provider: RunningProvider):
    provider.set_up(who=None)
    async with browsing(api) as browser:
        answer = await come(browser, provider)
        assert answer.status_code == 401
        assert "did not confirm the sign-in" in answer.text
        assert (await browser.get("/account")).status_code == 303


async def test_an_answer_works_once_in_its_own_browser_and_not_later(
    api: Api, provider: RunningProvider, clock: MovableClock
):
    async with browsing(api) as browser, browsing(api) as thief:
        leaving = (await browser.get("/sign-in/provider")).headers["location"]
        back = await provider.walk(leaving)
        assert (await thief.get(back)).status_code == 401
        cookies = dict(browser.client.cookies)
        assert (await browser.get(back)).status_code == 303
        assert (await thief.get(back)).status_code == 401
        thief.client.cookies.update(cookies)  # even with the cookie of the browser, the code is used up
        answer = await thief.get(back)
        assert answer.status_code == 401
        assert "did not confirm" in answer.text
        slow = (await thief.get("/sign-in/provider")).headers["location"]
        back = await provider.walk(slow)
        clock.ahead = timedelta(minutes=10, seconds=1)
        answer = await thief.get(back)
        assert answer.status_code == 401
        assert "longer than ten minutes" in answer.text


async def test_a_forged_state_or_issuer_is_refused(api: Api, provider: RunningProvider):
    async with browsing(api) as browser:
        leaving = (await browser.get("/sign-in/provider")).headers["location"]
        asked = parse_qs(urlsplit(leaving).query)
        assert asked["code_challenge_method"] == ["S256"]
        back = await provider.walk(leaving)
        assert (await browser.get(back.replace("state=", "state=x"))).status_code == 401
        assert (await browser.get(back.replace("iss=http", "iss=https"))).status_code == 401


async def test_new_keys_of_the_provider_are_read(api: Api, provider: RunningProvider):
    async with browsing(api) as browser, browsing(api) as other:
        assert (await come(browser, provider)).status_code == 303
        provider.set_up(rotate=True)
        assert (await come(other, provider)).status_code == 303


async def test_a_person_with_the_same_address_is_not_taken_over(api: Api, provider: RunningProvider):
    kim = await person(api, "kim@example.org", Role.READER)
    async with browsing(api) as owner, browsing(api) as browser:
        answer = await come(browser, provider)
        assert answer.status_code == 401
        assert "An owner must allow the link" in answer.text
        path = await link_for(api, await person(api, "ada@example.org"))
        await owner.send(path, path)
        allowed = await owner.send(f"/people?person={kim.id}", f"/people/{kim.id}/provider", what="allow")
        assert allowed.status_code == 303
        assert (await come(browser, provider)).status_code == 303
        assert len(await api.items("/v1/audit", action="link")) == 1
        ended = await owner.send(f"/people?person={kim.id}", f"/people/{kim.id}/provider", what="end")
        assert ended.status_code == 303
        assert (await browser.get("/account")).status_code == 303


@pytest.mark.parametrize(("verified", "status"), [(True, 303), (False, 401), (None, 401)])
async def test_verified_addresses_are_linked_where_a_setting_allows_it(
    database_url: str, tmp_path: Path, provider: RunningProvider, verified: bool | None, status: int
):
    provider.set_up(people={"kim": KIM | {"email_verified": verified}})
    async with serving(database_url, tmp_path, **settings_for(provider, oidc_link_by_email=True)) as api:
        await person(api, "kim@example.org", Role.READER)
        async with browsing(api) as browser:
            assert (await come(browser, provider)).status_code == status


async def test_nobody_unknown_comes_in_where_no_setting_allows_it(
    database_url: str, tmp_path: Path, provider: RunningProvider
):
    async with serving(database_url, tmp_path, **settings_for(provider, oidc_new_people=False)) as api:
        async with browsing(api) as browser:
            answer = await come(browser, provider)
        assert answer.status_code == 401
        assert "nobody added you here" in answer.text


async def test_the_provider_asks_again_before_people_are_changed(
    api: Api, provider: RunningProvider, clock: MovableClock
):
    provider.set_up(people={"kim": KIM | {"groups": ["chiefs"]}})
    async with browsing(api) as browser:
        await come(browser, provider)
        clock.ahead = timedelta(minutes=11)
        form = {"name": "Ann", "email": "ann@example.org", "role": "reader", "sees": "all"}
        where = (await browser.send("/people", "/people/new", **form)).headers["location"]
        assert where == "/prove?next=/people"
        assert "/prove/provider?next=/people" in (await browser.get(where)).text
        assert (await come(browser, provider, "/prove/provider?next=/people")).status_code == 401  # its clock is behind
        clock.ahead = timedelta(0)


async def test_signing_out_leads_to_the_provider_too(api: Api, provider: RunningProvider):
    async with browsing(api) as browser:
        await come(browser, provider)
        answer = await browser.send("/account", "/sign-out/now")
        assert answer.headers["refresh"].startswith(f"0; url={provider.issuer}/session/end?client_id=tocsin&")
        assert (await browser.get("/account")).status_code == 303


async def test_a_provider_that_is_away_is_reported_and_passwords_still_work(database_url: str, tmp_path: Path):
    away = {"oidc_issuer": "http://127.0.0.1:9", "oidc_client_id": "tocsin"}
    async with serving(database_url, tmp_path, **away) as api, browsing(api) as browser:
        answer = await browser.get("/sign-in/provider")
        assert answer.status_code == 503
        assert "cannot be reached" in answer.text
        assert "Password" in answer.text


async def test_a_session_of_the_provider_ends_within_a_day(api: Api, provider: RunningProvider, clock: MovableClock):
    async with browsing(api) as browser:
        await come(browser, provider)
        clock.ahead = timedelta(hours=23)
        assert (await browser.get("/account")).status_code == 200
        clock.ahead = timedelta(hours=25)
        assert (await browser.get("/account")).status_code == 303
