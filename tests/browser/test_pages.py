"""Each page as Chromium shows it: nothing that axe-core calls serious, no error, no other host, nothing wider than the screen."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

import pytest
from playwright.sync_api import Browser, Page, StorageState, expect

from tests.support.cli import Served

pytestmark = [pytest.mark.slow, pytest.mark.needs("chromium", "npm")]

LOOKS: list[tuple[int, Literal["light", "dark"], str]] = [
    (360, "light", "de-DE"),
    (390, "dark", "en-GB"),
    (1440, "light", "en-GB"),
    (1440, "dark", "de-DE"),
    (3840, "light", "en-GB"),
]
PAGES = ["/", "/?days=90&state=failed", "/alerts", "/alerts?tab=closed", "/jobs", "/messages", "/people", "/account"]


@dataclass
class Seen:
    """What a page did that it must not."""

    host: str
    errors: list[str] = field(default_factory=list)
    elsewhere: list[str] = field(default_factory=list)

    def watch(self, page: Page) -> None:
        """Note errors, and requests to another host."""
        page.on("console", lambda message: self.errors.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("request", lambda request: self._note(request.url))

    def _note(self, url: str) -> None:
        if not url.startswith((self.host, "data:", "blob:")):
            self.elsewhere.append(url)


@contextmanager
def opened(
    chromium: Browser, demo: Served, owner: StorageState | None, look: tuple[int, Literal["light", "dark"], str]
) -> Iterator[tuple[Page, Seen]]:
    """Open a tab of this width, theme and language."""
    width, theme, language = look
    host = f"http://127.0.0.1:{demo.port}"
    context = chromium.new_context(
        viewport={"width": width, "height": 900},
        color_scheme=theme,
        locale=language,
        storage_state=owner,
        base_url=host,
    )
    page, seen = context.new_page(), Seen(host)
    seen.watch(page)
    yield page, seen
    context.close()


def serious(page: Page, axe: str) -> list[str]:
    """Return what axe-core calls serious or critical on the page that is open."""
    page.evaluate(axe)
    found = page.evaluate("axe.run()")["violations"]
    return [
        f"{one['id']}: {one['nodes'][0]['html'][:200]}" for one in found if one["impact"] in ("serious", "critical")
    ]


def fits_everywhere(page: Page, axe: str) -> None:
    """Assert of the page that is open, as wide as a phone and as a desk and in both themes, what holds for every page."""
    size = page.viewport_size
    for width, theme in ((390, "light"), (390, "dark"), (1440, "light"), (1440, "dark")):
        page.set_viewport_size({"width": width, "height": 900})
        page.emulate_media(color_scheme="light" if theme == "light" else "dark")
        assert serious(page, axe) == [], f"{page.url} {width} {theme}"
        wider = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wider <= 0, f"{page.url} is {wider} px wider than the screen of {width} px"
        assert page.locator("h1").count() == 1, page.url
    if size is not None:
        page.set_viewport_size(size)


def details(page: Page) -> list[str]:
    """Return the pages of one job, of one proof and of one message."""
    page.goto("/")
    job = page.locator("a[href^='/job/']").first.get_attribute("href")
    assert job is not None
    page.goto(job)
    proof = page.locator("a[href^='/proof/']").first.get_attribute("href")
    assert proof is not None
    return [job, proof]


@pytest.mark.parametrize("look", LOOKS, ids=lambda look: "-".join(map(str, look)))
def test_every_page_can_be_used_by_everybody(
    chromium: Browser, demo: Served, owner: StorageState, axe: str, look: tuple[int, Literal["light", "dark"], str]
) -> None:
    with opened(chromium, demo, owner, look) as (page, seen):
        for path in [*PAGES, *details(page)]:
            answer = page.goto(path)
            assert answer is not None
            assert answer.status == 200, path
            assert serious(page, axe) == [], path
            wider = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
            assert wider <= 0, f"{path} is {wider} px wider than the screen"
            assert page.locator("h1").count() == 1, path
        assert seen.errors == []
        assert seen.elsewhere == []


@pytest.mark.parametrize("look", [LOOKS[1], LOOKS[2]], ids=["phone", "desk"])
def test_who_is_not_signed_in_comes_to_the_page_that_the_link_named(
    chromium: Browser, demo: Served, axe: str, look: tuple[int, Literal["light", "dark"], str]
) -> None:
    with opened(chromium, demo, None, look) as (page, seen):
        page.goto("/alerts?tab=closed")
        assert page.url.endswith("/sign-in?next=/alerts%3Ftab%3Dclosed")
        assert serious(page, axe) == []
        assert seen.errors == []
        assert seen.elsewhere == []


def test_what_can_be_done_with_an_acknowledged_alert_stands_in_one_line_on_a_phone_in_german(
    chromium: Browser, demo: Served, owner: StorageState
) -> None:
    with opened(chromium, demo, owner, LOOKS[0]) as (page, _):
        page.goto("/alerts?tab=nobody")
        page.locator(".al .acts > button").last.click()
        page.get_by_role("button", name="Rückgängig").first.wait_for()
        page.goto("/alerts?tab=acknowledged")
        row = page.locator(".al .acts").first
        expect(row).to_contain_text("Mir zuweisen")
        tops = row.locator(".btn:visible").evaluate_all("all => all.map(one => one.getBoundingClientRect().top)")
        assert len(tops) == 3
        assert len(set(tops)) == 1


@pytest.mark.parametrize("scripts", [True, False], ids=["with-scripts", "without-scripts"])
def test_a_failed_job_is_acknowledged_and_that_is_undone(
    chromium: Browser, demo: Served, owner: StorageState, *, scripts: bool
) -> None:
    context = chromium.new_context(
        storage_state=owner, java_script_enabled=scripts, base_url=f"http://127.0.0.1:{demo.port}"
    )
    page, other = context.new_page(), context.new_page()
    acknowledge = page.get_by_role("button", name=re.compile(r"Acknowledge\s+shares\W"))
    page.goto("/")
    acknowledge.click()
    undo = page.get_by_role("button", name="Undo")
    undo.wait_for()
    assert acknowledge.count() == 0
    other.goto("/alerts")
    other.get_by_role("button", name=re.compile(r"Take over\s+shares\W")).wait_for()
    undo.click()
    acknowledge.wait_for()
    context.close()


def test_the_number_of_problems_is_live_on_a_page_that_lists_none(
    chromium: Browser, demo: Served, owner: StorageState
) -> None:
    with opened(chromium, demo, owner, LOOKS[1]) as (page, seen), opened(chromium, demo, owner, LOOKS[2]) as (desk, _):
        page.goto("/messages")
        badge = page.locator(".tabbar [data-hot]")
        before = int(badge.inner_text())
        page.locator("[data-live]", has_text="Live").wait_for()
        desk.goto("/alerts?tab=nobody")
        desk.get_by_role("button", name=re.compile(r"^Acknowledge\s+\w")).first.click()
        desk.get_by_role("button", name="Undo").wait_for()
        expect(badge).to_have_text(str(before - 1) if before > 1 else "0", timeout=60_000)
        expect(page.get_by_role("link", name="Something changed. Show it")).to_be_visible(timeout=60_000)
        desk.get_by_role("button", name="Undo").click()
        expect(badge).to_have_text(str(before), timeout=60_000)
        assert seen.errors == []
