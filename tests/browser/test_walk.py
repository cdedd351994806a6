"""The walk of a new user in Chromium: from the first start to the failed job that is acknowledged from its mail.

Each step takes a picture for a person to look at. WALK_PICTURES=FOLDER keeps them there; otherwise they go with the folder of the test.
"""

import os
import re
from collections.abc import Iterator
from email import message_from_bytes, policy
from pathlib import Path
from typing import Literal

import httpx
import pytest
from playwright.sync_api import Browser, Page

from tests.browser.test_pages import opened, serious
from tests.support.cli import Served, serving_process
from tests.support.running import wait_until
from tests.support.smtp import SmtpServer

pytestmark = [pytest.mark.slow, pytest.mark.needs("chromium", "npm")]
LOOKS: list[tuple[int, Literal["light", "dark"], str]] = [(390, "light", "en-GB"), (1440, "dark", "en-GB")]


@pytest.fixture
def smtp() -> Iterator[SmtpServer]:
    with SmtpServer() as server:
        yield server


@pytest.fixture
def served(tmp_path: Path, smtp: SmtpServer) -> Iterator[Served]:
    mail = {"smtp_url": f"smtp://127.0.0.1:{smtp.port}", "mail_from": "tocsin@example.org"}
    with serving_process(tmp_path, admin_email="ada@example.org", **mail) as running:
        yield running


class Walk:
    """A tab that checks each page and keeps a picture of it."""

    def __init__(self, page: Page, axe: str, folder: Path) -> None:
        self.page, self._axe, self._folder = page, axe, folder
        self._number = 0

    def step(self, name: str) -> None:
        """Check the page that is open, and keep its picture."""
        self._number += 1
        self.page.screenshot(path=self._folder / f"{self._number:02d}-{name}.png", full_page=True)
        assert serious(self.page, self._axe) == [], name
        wide = self.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wide <= 0, f"{name} is {wide} px wider than the screen"
        assert self.page.locator("h1").count() == 1, name


@pytest.mark.parametrize("look", LOOKS, ids=lambda look: "-".join(map(str, look)))
def test_from_the_first_start_to_the_failed_job_that_is_acknowledged_from_its_mail(
    served: Served,
    smtp: SmtpServer,
    chromium: Browser,
    axe: str,
    tmp_path: Path,
    look: tuple[int, Literal["light", "dark"], str],
) -> None:
    pictures = Path(os.environ.get("WALK_PICTURES", tmp_path)) / f"{look[0]}-{look[1]}"
    pictures.mkdir(parents=True, exist_ok=True)
    with opened(chromium, served, None, look) as (page, seen), opened(chromium, served, None, look) as (phone, others):
        walk = Walk(page, axe, pictures)
        sign_in_first(walk, served)
        connect_and_fail(walk, seen.host)
        address = link_in_mail(smtp, pictures / "mail.html")
        phone.goto((pictures / "mail.html").as_uri())
        phone.screenshot(path=pictures / "mail.png", full_page=True)
        others.elsewhere.clear()  # the mail itself is a file

        walk.page = phone  # nobody is signed in there
        phone.goto(address)
        walk.step("answer")
        phone.get_by_role("button", name="Acknowledge").click()
        phone.get_by_role("heading", name="You acknowledged it").wait_for()
        walk.step("answered")

        walk.page = page
        page.goto("/")
        page.get_by_text("ada@example.org").first.wait_for()
        walk.step("now-acknowledged")
        page.get_by_role("link", name="Why").first.click()
        page.wait_for_url("**/proof/**")
        page.get_by_text("ada@example.org acknowledged it").wait_for()
        walk.step("proof")
        assert seen.errors + others.errors == []
        assert seen.elsewhere + others.elsewhere == []


def sign_in_first(walk: Walk, served: Served) -> None:
    """Use the link that the first start printed."""
    link, page = re.search(r"http\S+/link/\S+", served.output), walk.page
    assert link is not None, served.output
    page.goto(link[0])
    walk.step("first-link")
    page.fill("input[name=name]", "Ada")
    page.fill("input[name=email]", "ada@example.org")
    page.click("form button:has-text('Sign in')")
    page.wait_for_url("**/account**")
    walk.step("account")
    page.goto("/")
    walk.step("nothing-yet")


def connect_and_fail(walk: Walk, home: str) -> None:
    """Connect a host from the first page on, and let its first report be a failure."""
    page = walk.page
    page.locator("main").get_by_role("link", name="Connect a backup").click()
    walk.step("connect")
    page.check("input[value=curl]")
    page.fill("main input[name=host]", "files01")
    page.fill("main input[name=job]", "shares")
    page.get_by_role("button", name="Create the key and show the lines").click()
    page.get_by_text("Nothing has arrived yet.").wait_for()
    walk.step("lines-to-copy")
    key = re.search(r"Bearer (tocsin_agent_\S+)'", page.locator("#line-1").text_content() or "")
    assert key is not None
    failed = {"job": "shares", "outcome": "failure", "message": "no space left on device"}
    httpx.post(f"{home}/v1/events", json=failed, headers={"Authorization": f"Bearer {key[1]}"}).raise_for_status()
    page.get_by_text("The first report arrived:").wait_for()
    walk.step("first-report")
    page.goto("/")
    page.get_by_text("no space left on device").first.wait_for()
    walk.step("now-failed")


def link_in_mail(smtp: SmtpServer, file: Path) -> str:
    """Return the address in the mail by which its recipient answers, and keep the mail as a page."""
    wait_until("the mail", lambda: [one for one in smtp.messages if b"[FAILED]" in one.data])
    [sent] = [one for one in smtp.messages if b"[FAILED]" in one.data]
    body = message_from_bytes(sent.data, policy=policy.default).get_body(("html",))
    assert body is not None
    file.write_text(body.get_content())
    answer = re.search(r"http\S+?/answer/[\w.]+", body.get_content())
    assert answer is not None
    return answer[0]
