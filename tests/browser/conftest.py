"""The demo's fleet behind a real service, and Chromium with its first owner signed in."""

import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, StorageState, sync_playwright

from tests.support.cli import Served, serving_process, tocsin

NODE = Path(__file__).parent / "node"
_LINK = r"http\S+/link/\S+"
_NEW_FOR_S = 240


@pytest.fixture(scope="package")
def axe() -> str:
    """Return the source of axe-core, installed by its lock file."""
    installed = NODE / "node_modules" / ".package-lock.json"
    if not installed.exists() or installed.stat().st_mtime < (NODE / "package-lock.json").stat().st_mtime:
        subprocess.run(["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"], cwd=NODE, check=True, timeout=300)
    return (NODE / "node_modules" / "axe-core" / "axe.min.js").read_text()


@pytest.fixture(scope="package")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder in which the service of the demo runs."""
    return tmp_path_factory.mktemp("demo")


@pytest.fixture(scope="package")
def demo(folder: Path) -> Iterator[Served]:
    """Return a service that knows the demo's fleet."""
    with serving_process(folder) as served:
        shown = tocsin(folder, "demo", "--no-wait", port=served.port)
        assert shown.returncode == 0, shown.stderr
        yield served


@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    """Return Debian's Chromium."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-background-networking"]
        )
        yield browser
        browser.close()


@dataclass(slots=True)
class _SignIn:
    """The cookies of the owner, and when they were made: keys and people can be changed only for ten minutes after that."""

    cookies: StorageState
    at: float


@pytest.fixture(scope="package")
def first_sign_in(demo: Served, chromium: Browser) -> _SignIn:
    """Sign the first owner in by the link that the first start printed."""
    link = re.search(_LINK, demo.output)
    assert link is not None, demo.output
    context = chromium.new_context()
    page = context.new_page()
    page.goto(link[0])
    page.fill("input[name=name]", "Ada")
    page.fill("input[name=email]", "ada@example.org")
    page.click("form button:has-text('Sign in')")
    page.wait_for_url("**/account**")
    found = _SignIn(context.storage_state(), time.monotonic())
    context.close()
    return found


@pytest.fixture
def owner(demo: Served, folder: Path, chromium: Browser, first_sign_in: _SignIn) -> StorageState:
    """Return the cookies of the owner, who signed in a short time ago however long the tests have run."""
    if time.monotonic() - first_sign_in.at < _NEW_FOR_S:
        return first_sign_in.cookies
    made = tocsin(folder, "people", "link", "ada@example.org", port=demo.port)
    link = re.search(_LINK, made.stdout)
    assert link is not None, made.stdout + made.stderr
    context = chromium.new_context()
    page = context.new_page()
    page.goto(link[0])
    page.click("form button:has-text('Sign in')")
    page.wait_for_url("**/account**")
    first_sign_in.cookies, first_sign_in.at = context.storage_state(), time.monotonic()
    context.close()
    return first_sign_in.cookies
