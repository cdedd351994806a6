"""Routing and the pages for errors in Chromium: usable by everybody, and a route made and deleted as a person does it."""

import re
from typing import Literal

import pytest
from playwright.sync_api import Browser, StorageState

from app.http.pages.transport_fields import TRANSPORT_FIELDS
from tests.browser.test_pages import LOOKS, opened, serious
from tests.support.cli import Served

pytestmark = [pytest.mark.slow, pytest.mark.needs("chromium", "npm")]

_KINDS = ("routes", "rules", "recipients", "silences", "summaries")
_ERRORS = {"/job/none": 404, "/no/such/page": 404, "/alerts?order=best": 422, "/act/undo": 405}


@pytest.mark.parametrize("look", LOOKS[:4], ids=lambda look: "-".join(map(str, look)))
def test_its_lists_and_forms_can_be_used_by_everybody(
    chromium: Browser, demo: Served, owner: StorageState, axe: str, look: tuple[int, Literal["light", "dark"], str]
) -> None:
    with opened(chromium, demo, owner, look) as (page, seen):
        paths = []
        for kind in _KINDS:
            paths += [f"/routing?tab={kind}", f"/routing/{kind}/new"]
            page.goto(f"/routing?tab={kind}")
            links = page.locator(f"a.plain[href^='/routing/{kind}/']")
            paths += [str(links.first.get_attribute("href"))] if links.count() else []
        for path in paths:
            answer = page.goto(path)
            assert answer is not None
            assert answer.status == 200, path
            assert answer.headers["x-frame-options"] == "DENY"
            assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
            assert serious(page, axe) == [], path
            wider = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
            assert wider <= 0, f"{path} is {wider} px wider than the screen"
            assert page.locator("h1").count() == 1, path
        assert seen.errors == []
        assert seen.elsewhere == []


@pytest.mark.parametrize("look", [LOOKS[1], LOOKS[3]], ids=["phone", "desk"])
@pytest.mark.parametrize("is_signed_in", [True, False])
def test_errors_can_be_read_by_everybody(
    chromium: Browser,
    demo: Served,
    owner: StorageState,
    axe: str,
    look: tuple[int, Literal["light", "dark"], str],
    *,
    is_signed_in: bool,
) -> None:
    with opened(chromium, demo, owner if is_signed_in else None, look) as (page, seen):
        for path, status in _ERRORS.items() if is_signed_in else [("/no/such/page", 404)]:
            answer = page.goto(path)
            assert answer is not None
            assert answer.status == status, path
            assert serious(page, axe) == [], path
            assert page.locator("h1").count() == 1, path
        # Chromium writes the status of a page that failed to the console; nothing else may be there.
        assert [error for error in seen.errors if "the server responded with a status of" not in error] == []
        assert seen.elsewhere == []


@pytest.mark.parametrize("scripts", [True, False], ids=["with-scripts", "without-scripts"])
def test_a_route_is_looked_at_before_it_is_saved_and_deleted_in_two_steps(
    chromium: Browser, demo: Served, owner: StorageState, *, scripts: bool
) -> None:
    context = chromium.new_context(
        storage_state=owner, java_script_enabled=scripts, base_url=f"http://127.0.0.1:{demo.port}"
    )
    page = context.new_page()
    page.goto("/routing")
    page.get_by_role("link", name="New route").click()
    page.fill("input[name=name]", f"nights {scripts}")
    page.locator("input[name=m_field]").first.fill("job")
    page.locator("input[name=m_value]").first.fill("shares")
    page.locator("input[name=position]").fill("0")
    page.locator("input[name=recipient]").first.check()
    assert page.get_by_role("button", name="Save").count() == 0
    page.get_by_role("button", name="Show what it would do").click()
    effect = page.locator("#effect")
    effect.wait_for()
    assert re.search(r"[1-9]\d* jobs? match", effect.inner_text())
    assert re.search(r"[1-9]\d* alerts? of the last 30 days would have gone here", effect.inner_text())
    page.get_by_role("button", name="Save").click()
    page.get_by_text("Saved.").wait_for()
    page.get_by_role("button", name=f"Move down nights {scripts}").click()
    page.get_by_role("button", name=f"Move up nights {scripts}").click()
    page.get_by_role("button", name=f"Move down nights {scripts}").wait_for()
    page.get_by_role("link", name=f"nights {scripts}", exact=True).click()
    page.get_by_role("button", name="Delete").click()
    page.get_by_text("It cannot be undone").wait_for()
    page.get_by_role("button", name="Delete").click()
    page.get_by_text("Saved.").wait_for()
    assert page.get_by_role("link", name=f"nights {scripts}").count() == 0
    context.close()


@pytest.mark.parametrize("look", [LOOKS[1], LOOKS[3]], ids=["phone", "desk"])
def test_choosing_a_transport_shows_its_fields(
    chromium: Browser, demo: Served, owner: StorageState, axe: str, look: tuple[int, Literal["light", "dark"], str]
) -> None:
    with opened(chromium, demo, owner, look) as (page, seen):
        page.goto("/routing/recipients/new")
        for transport in TRANSPORT_FIELDS:
            page.locator("select[name=transport]").first.select_option(transport)
            for field in TRANSPORT_FIELDS[transport]:
                page.locator(f"[name='0.{field.name}']").wait_for()
            assert serious(page, axe) == [], transport
            wider = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
            assert wider <= 0, f"the fields of {transport} are {wider} px wider than the screen"
        assert seen.errors == []


def test_a_transport_is_chosen_without_scripts(chromium: Browser, demo: Served, owner: StorageState) -> None:
    context = chromium.new_context(
        storage_state=owner, java_script_enabled=False, base_url=f"http://127.0.0.1:{demo.port}"
    )
    page = context.new_page()
    page.goto("/routing/recipients/new")
    page.locator("select[name=transport]").first.select_option("syslog")
    page.locator("button[value=fields]").first.click()
    page.locator("select[name='0.facility']").wait_for()
    page.fill("input[name=name]", "logs without scripts")
    page.locator("input[name=address]").first.fill("tls://logs.example.org:6514")
    page.get_by_role("button", name="Save").click()
    page.get_by_role("link", name="logs without scripts", exact=True).wait_for()
    context.close()
