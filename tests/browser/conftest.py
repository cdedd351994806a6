"""The demo's fleet behind a real service, and Chromium with its first owner signed in."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, StorageState, sync_playwright

from tests.support.cli import Served, serving_process, tocsin

NODE = Path(__file__).parent / "node"


@pytest.fixture(scope="package")
def axe() -> str:
    """Return the source of axe-core, installed by its lock file."""
    installed = NODE / "node_modules" / ".package-lock.json"
    if not installed.exists() or installed.stat().st_mtime < (NODE / "package-lock.json").stat().st_mtime:
        subprocess.run(["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"], cwd=NODE, check=True, timeout=300)
    return (NODE / "node_modules" / "axe-core" / "axe.min.js").read_text()


@pytest.fixture(scope="package")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Return a service that knows the demo's fleet."""
    folder = tmp_path_factory.mktemp("demo")
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


@pytest.fixture(scope="package")
def owner(demo: Served, chromium: Browser) -> StorageState:
    """Sign the first owner in by the link that the first start printed, and return the cookies."""
    link = re.search(r"http\S+/link/\S+", demo.output)
    assert link is not None, demo.output
    context = chromium.new_context()
    page = context.new_page()
    page.goto(link[0])
    page.fill("input[name=name]", "Ada")
    page.fill("input[name=email]", "ada@example.org")
    page.click("form button:has-text('Sign in')")
    page.wait_for_url("**/account")
    cookies = context.storage_state()
    context.close()
    return cookies
