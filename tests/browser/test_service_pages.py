"""The pages of administrators as Chromium shows them: Connect, Relays, Service and Wall, with each of their acts."""

import re
from typing import Literal

import httpx
import pytest
from playwright.sync_api import Browser, Page, StorageState

from tests.browser.test_pages import LOOKS, fits_everywhere, opened, serious
from tests.support.cli import Served

pytestmark = [pytest.mark.slow, pytest.mark.needs("chromium", "npm")]

PAGES = [
    "/connect",
    "/relays",
    "/service",
    "/service/keys",
    "/service/keys?new=access",
    "/service/links",
    "/service/audit",
]
MARKUP = "<img src=x onerror=alert(1)>"


def fits(page: Page, axe: str) -> None:
    """Assert what holds for every page that is open: nothing serious, nothing wider than the screen, one title."""
    assert serious(page, axe) == [], page.url
    wider = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert wider <= 0, f"{page.url} is {wider} px wider than the screen"
    assert page.locator("h1").count() == 1, page.url


@pytest.mark.parametrize("look", LOOKS, ids=lambda look: "-".join(map(str, look)))
def test_every_page_of_administrators_can_be_used_by_everybody(
    chromium: Browser, demo: Served, owner: StorageState, axe: str, look: tuple[int, Literal["light", "dark"], str]
) -> None:
    with opened(chromium, demo, owner, look) as (page, seen):
        for path in PAGES:
            answer = page.goto(path)
            assert answer is not None
            assert answer.status == 200, path
            fits(page, axe)
        assert seen.errors == []
        assert seen.elsewhere == []


@pytest.mark.parametrize("scripts", [True, False], ids=["with-scripts", "without-scripts"])
def test_a_tool_is_connected_and_its_first_report_appears(
    chromium: Browser, demo: Served, owner: StorageState, axe: str, *, scripts: bool
) -> None:
    host = f"http://127.0.0.1:{demo.port}"
    context = chromium.new_context(storage_state=owner, java_script_enabled=scripts, base_url=host)
    page = context.new_page()
    page.goto("/connect")
    for words, left in (("veeam", 1), ("no such tool", 0), ("curl", 1)):
        page.get_by_label("Find a tool").fill(words)
        if not scripts:
            page.get_by_role("button", name="Filter").click()
        assert page.locator(".tool:visible").count() == left
        assert page.get_by_text("No tool matches.").is_visible() is (left == 0)
    page.check("input[name=tool][value=curl]")
    name = f"new-{scripts}{MARKUP}"
    page.fill("main input[name=host]", name)
    page.fill("main input[name=job]", MARKUP)
    page.get_by_role("button", name="Create the key and show the lines").click()
    page.get_by_text("Nothing has arrived yet.").wait_for()
    line = page.locator("#line-1").text_content() or ""
    assert line.startswith(f"curl -fsS {host}/v1/events ")
    key = re.search(r"Bearer (tocsin_agent_\S+)'", line)
    assert key is not None, line
    if scripts:
        fits(page, axe)
    sent = {"job": MARKUP, "outcome": "success", "message": MARKUP}
    httpx.post(f"{host}/v1/events", json=sent, headers={"Authorization": f"Bearer {key[1]}"}).raise_for_status()
    if not scripts:
        page.get_by_role("link", name="Refresh").click()
    page.get_by_text("The first report arrived:").wait_for()
    shown = page.locator("#first").inner_text()
    assert MARKUP in shown
    assert "Ok" in shown
    assert page.locator("main img").count() == 0
    if scripts:
        fits(page, axe)
    else:
        assert key[1] not in page.content(), "the key is shown once"
    context.close()


def test_a_relay_is_set_up_and_shows_what_its_doctor_found(
    chromium: Browser, demo: Served, owner: StorageState, axe: str
) -> None:
    with opened(chromium, demo, owner, LOOKS[1]) as (page, seen):
        page.goto("/relays")
        page.fill("main input[name=name]", f"mail01 {MARKUP}")
        page.get_by_role("button", name="Add and create a set-up code").click()
        code = page.locator("#code").text_content()
        fits(page, axe)
        with httpx.Client(base_url=seen.host) as relay:
            paired = relay.post("/v1/relay/set-up", json={"code": code, "host": "WIN-1"}).raise_for_status().json()
            point = {"name": "profile", "state": "fail", "found": MARKUP, "remedy": f"Do {MARKUP}", "question": MARKUP}
            beat = {"version": "9.9", "host": f"WIN-1 {MARKUP}", "profile": MARKUP, "doctor": [point]}
            relay.post(
                "/v1/relay/heartbeat", json=beat, headers={"Authorization": f"Bearer {paired['key']}"}, timeout=60
            ).raise_for_status()
        page.goto("/relays")
        panel = page.locator("section", has_text="mail01").first
        assert f"Do {MARKUP}" in panel.inner_text()
        assert "9.9" in panel.inner_text()
        assert code not in page.content()
        panel.get_by_role("button", name="Pause").click()
        page.get_by_text("paused since").wait_for()
        page.get_by_role("button", name="Resume").click()
        page.get_by_text("it sends", exact=True).wait_for()
        assert page.locator("main img").count() == 0
        fits(page, axe)
        assert seen.errors == []


@pytest.mark.parametrize("scripts", [True, False], ids=["with-scripts", "without-scripts"])
def test_a_wall_shows_what_was_chosen_until_its_link_is_revoked(
    chromium: Browser, demo: Served, owner: StorageState, axe: str, *, scripts: bool
) -> None:
    host = f"http://127.0.0.1:{demo.port}"
    context = chromium.new_context(storage_state=owner, java_script_enabled=scripts, base_url=host)
    page = context.new_page()
    page.goto("/service/links")
    name = f"Office {scripts} {MARKUP}"
    page.fill("main input[name=name]", name)
    page.get_by_role("button", name="Create the link").click()
    assert "at least one customer" in page.get_by_role("alert").inner_text(), "nobody publishes everything by omission"
    page.fill("main input[name=name]", name)
    page.select_option("main select[name=customer]", index=0)
    chosen = page.locator("main select[name=customer] option").first.inner_text()
    page.check("main input[value=customers]")
    page.check("main input[value=jobs]")
    page.get_by_role("button", name="Create the link").click()
    address = page.locator("#made").text_content() or ""
    assert address.startswith(f"{host}/wall/")
    if scripts:
        fits_everywhere(page, axe)
    page.goto("/service/links")
    assert address not in page.content(), "the address is shown once"

    for width, theme in ((390, "dark"), (1920, "light"), (3840, "dark")):
        look: tuple[int, Literal["light", "dark"], str] = (width, "light" if theme == "light" else "dark", "en-GB")
        with opened(chromium, demo, None, look) as (wall, seen):
            answer = wall.goto(address)
            assert answer is not None
            assert (answer.status, answer.headers["x-robots-tag"]) == (200, "noindex, nofollow")
            assert answer.headers["referrer-policy"] == "no-referrer"
            assert "set-cookie" not in answer.headers
            fits(wall, axe)
            shown = wall.locator("body").inner_text()
            assert chosen in shown
            assert "shares" in shown
            assert "repository is already locked" not in shown, "texts of errors were not chosen"
            assert "Ada" not in shown
            assert seen.errors == []
            assert seen.elsewhere == []

    row = page.locator("main li", has_text=name)
    row.locator("summary").click()
    row.get_by_role("button", name="Revoke now").click()
    page.get_by_text("revoked").first.wait_for()
    assert httpx.get(address).status_code == 404
    context.close()


def test_a_key_is_made_shown_once_and_ended(chromium: Browser, demo: Served, owner: StorageState, axe: str) -> None:
    with opened(chromium, demo, owner, LOOKS[1]) as (page, seen):
        page.goto("/service/keys")
        page.get_by_role("link", name="For a program or person, to use the API").click()
        page.fill("main input[name=name]", f"board {MARKUP}")
        page.get_by_role("button", name="Create the key").click()
        key = page.locator("#made").text_content() or ""
        fits_everywhere(page, axe)
        headers = {"Authorization": f"Bearer {key}"}
        assert httpx.get(f"{seen.host}/v1/customers", headers=headers).status_code == 200
        page.goto("/service/keys?kind=access")
        assert key not in page.content()
        row = page.locator("main li[data-row]", has_text=f"board {MARKUP}")
        row.get_by_text("Rotate").click()
        row.get_by_role("button", name="for 24 h more").click()
        second = page.locator("#made").text_content() or ""
        fits_everywhere(page, axe)
        for one in (key, second):
            assert httpx.get(f"{seen.host}/v1/customers", headers={"Authorization": f"Bearer {one}"}).status_code == 200
        row.locator("summary", has_text="Revoke").click()
        row.get_by_role("button", name="Revoke now").click()
        page.get_by_text("Saved.").wait_for()
        assert httpx.get(f"{seen.host}/v1/customers", headers=headers).status_code == 401
        page.goto("/service/audit?noun=key&action=revoke")
        assert page.locator("main li[data-row]").count() >= 1
        assert f"board {MARKUP}" in (page.locator("main").text_content() or "")
        assert page.locator("main img").count() == 0
        assert seen.errors == []
        assert seen.elsewhere == []


def test_the_service_is_tested_and_its_retention_set(
    chromium: Browser, demo: Served, owner: StorageState, axe: str
) -> None:
    with opened(chromium, demo, owner, LOOKS[2]) as (page, seen):
        page.goto("/service")
        page.fill("input[name=events]", "45")
        page.get_by_role("button", name="Save").click()
        assert "deletes older data" in page.get_by_role("alert").inner_text()
        page.fill("input[name=events]", "45")
        page.check("input[name=sure]")
        page.get_by_role("button", name="Save").click()
        page.get_by_text("Saved.").wait_for()
        assert page.input_value("input[name=events]") == "45"
        page.goto("/service/audit?noun=retention")
        # What changed one or two values is shown open.
        assert "90 → 45" in page.locator("main").inner_text()
        page.goto("/service")
        page.select_option("select[name=transport]", "file")
        page.fill("main input[name=address]", "ada@example.org")
        page.get_by_role("button", name="Send a test message").click()
        page.get_by_text("the other side accepted the test message.").wait_for()
        page.get_by_role("button", name="Run the doctor").click()
        page.get_by_text("found.").or_(page.get_by_text("Nothing is wrong.")).wait_for(timeout=90_000)
        fits(page, axe)
        assert [error for error in seen.errors if "422" not in error] == [], "only the refused form is one"
