"""Signing in as Chromium does it: by the first link, a password with a one-time code, and an identity provider."""

import re
from collections.abc import Iterator

import pyotp
import pytest
from playwright.sync_api import Browser, Page

from app.http.pages.provider import CALLBACK
from tests.browser.test_pages import Seen, fits_everywhere
from tests.support.cli import Served, serving_process
from tests.support.identity_provider import CLIENT_ID, CLIENT_SECRET, RunningProvider, running_provider
from tests.support.ports import lasting_port

pytestmark = [pytest.mark.slow, pytest.mark.needs("chromium", "npm")]
PASSWORD = "correct horse battery"


@pytest.fixture(scope="module")
def port() -> int:
    return lasting_port()


@pytest.fixture(scope="module")
def provider(port: int) -> Iterator[RunningProvider]:
    with running_provider(f"http://127.0.0.1:{port}{CALLBACK}") as running:
        kim = {"email": "kim@example.org", "email_verified": True, "name": "Kim Lee", "groups": ["backup"]}
        running.set_up(people={"kim": kim}, who="kim")
        yield running


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, port: int, provider: RunningProvider) -> Iterator[Served]:
    settings = {
        "base_url": f"http://127.0.0.1:{port}",
        "oidc_issuer": provider.issuer,
        "oidc_client_id": CLIENT_ID,
        "oidc_client_secret": CLIENT_SECRET,
        "oidc_scopes": "openid email profile groups",
        "oidc_groups": "backup = operator",
        "oidc_new_people": "true",
        "oidc_label": "Acme ID",
    }
    with serving_process(tmp_path_factory.mktemp("sign-in"), port=str(port), **settings) as running:
        yield running


def page_of(chromium: Browser, home: str) -> tuple[Page, Seen]:
    """Return a new page, and what it did that it must not."""
    page, seen = chromium.new_context().new_page(), Seen(home)
    seen.watch(page)
    return page, seen


def test_the_first_link_a_password_and_a_one_time_code(served: Served, port: int, chromium: Browser, axe: str):
    link = re.search(r"http\S+/link/\S+", served.output)
    assert link is not None
    home = f"http://127.0.0.1:{port}"
    page, seen = page_of(chromium, home)
    page.goto(link[0])
    fits_everywhere(page, axe)
    page.fill("input[name=name]", "Ada")
    page.fill("input[name=email]", "ada@example.org")
    page.click("form button:has-text('Sign in')")
    page.wait_for_url("**/account*")
    page.fill("input[name=password]", PASSWORD)
    page.click("form[action='/account/password'] button")
    page.click("form[action='/account/codes'] button")
    fits_everywhere(page, axe)
    secret = re.search(r"secret=([A-Z2-7]{32})", page.content())
    assert secret is not None
    page.fill("form[action='/account/codes/confirm'] input[name=code]", pyotp.TOTP(secret[1]).now())
    page.click("form[action='/account/codes/confirm'] button")
    recovery = re.findall(r"\b[a-z0-9]{4,5}-[a-z0-9]{4,5}(?:-[a-z0-9]{4,5})*\b", page.inner_text("main"))
    assert len(recovery) == 10
    fits_everywhere(page, axe)
    page.goto(f"{home}/prove?next=/people")
    page.get_by_role("heading", name="Sign in again").wait_for()
    fits_everywhere(page, axe)
    page.goto(f"{home}/account")
    page.click("form[action='/sign-out/now'] button")
    page.wait_for_url("**/sign-in*")
    page.goto(f"{home}/messages")
    page.fill("input[name=email]", "ada@example.org")
    page.fill("input[name=password]", PASSWORD)
    page.fill("input[name=code]", "000000")
    page.click("form button:has-text('Sign in')")
    page.get_by_role("alert").wait_for()
    fits_everywhere(page, axe)
    page.fill("input[name=email]", "ada@example.org")
    page.fill("input[name=password]", PASSWORD)
    page.fill("input[name=code]", recovery[0])
    page.click("form button:has-text('Sign in')")
    page.wait_for_url(f"{home}/messages")
    refused = [error for error in seen.errors if not re.search(r"40[0-9]|429", error)]
    assert refused == [], "only the refused code is one"
    assert seen.elsewhere == []


def test_the_identity_provider_leads_back_to_the_page_that_was_asked_for(
    served: Served, port: int, chromium: Browser, provider: RunningProvider, axe: str
):
    home = f"http://127.0.0.1:{port}"
    page, seen = page_of(chromium, home)
    page.goto(f"{home}/alerts")
    fits_everywhere(page, axe)
    provider.set_up(who=None)
    page.click("text=Acme ID")
    page.get_by_role("alert").wait_for()
    fits_everywhere(page, axe)
    provider.set_up(who="kim")
    page.goto(f"{home}/alerts")
    page.click("text=Acme ID")
    page.wait_for_url(f"{home}/alerts")
    page.goto(f"{home}/account")
    assert "kim@example.org" in page.content()
    page.goto(f"{home}/prove?next=/account")
    page.get_by_role("link", name="Acme ID").wait_for()
    fits_everywhere(page, axe)
    assert [error for error in seen.errors if "401" not in error] == [], (
        "only the refusal; the provider's own page is next"
    )
    assert all(url.startswith(provider.issuer) for url in seen.elsewhere), "only by the button that leads there"
    page.goto(f"{home}/account")
    page.click("form[action='/sign-out/now'] button")
    page.wait_for_url(f"{provider.issuer}/**")
    page.goto(f"{home}/account")
    page.wait_for_url(re.compile(r"/sign-in\?"))
