"""Makes the pictures of the README and of docs/monitoring from the demo: `make pictures` writes docs/pictures/*.png.

It starts the service on an empty folder and a Prometheus that scrapes it, runs `tocsin demo`, and takes pictures of the mails that this
wrote, of the first page of the dashboard, and of two pages of Prometheus. It needs Chromium, Prometheus and pngquant from Debian.
"""

import email
import json
import re
import shutil
import subprocess
import sys
import tempfile
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from urllib.parse import urlencode

from playwright.sync_api import Browser, Page, sync_playwright

from tests.support.prometheus import Prometheus, prometheus, scrapes_of
from tests.support.running import Running, serving, wait_until

DOCS = Path(__file__).resolve().parent
PICTURES = DOCS / "pictures"
DEPLOY = DOCS.parent / "deploy"
WIDTH, HEIGHT = 720, 1010  # of a picture in CSS pixels; what is longer is cut
SUBJECTS = {"alert": "[FAILED]", "summary": "Backups"}  # each picture shows the first mail whose subject begins so

CHROMIUM = ["--no-sandbox", "--disable-background-networking"]
DASHBOARD = (1280, 900)  # of the picture of the dashboard, in CSS pixels
PROMETHEUS_WIDTH = 1040  # below 992 Prometheus puts the parts of its query page under each other
PANEL = "Jobs in trouble"  # of the board of the fleet, whose query is shown
ALERTS = {"BackupFailed", "BackupMissed", "BackupWarnsAgainAndAgain"}  # what the demo leads to
PATIENCE_MS = 120_000  # for a page, because a busy machine needs longer than the 30 s of Playwright
LARGEST_BYTES = 120_000  # of a picture, because every clone has each of its versions


def main() -> None:
    """Run the demo and take the pictures."""
    found = [shutil.which(name) for name in ("chromium", "chromium-browser", "google-chrome")]
    chromium = next(filter(None, found), None)
    missing = [name for name in ("prometheus", "pngquant") if not shutil.which(name)]
    if chromium is None or missing:
        names = " ".join([*([] if chromium else ["chromium"]), *missing])
        sys.exit(f"These programs are missing: {names}. On Debian: apt install {names}")
    PICTURES.mkdir(exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as name,
        serving(Path(name) / "var") as running,
        prometheus(
            Path(name) / "prometheus", DEPLOY / "prometheus-rules.yaml", scrapes_of(running, Path(name))
        ) as scraping,
    ):
        subprocess.run(
            [sys.executable, "-m", "app.cli", "demo"], cwd=running.folder, env=running.environment, check=True
        )
        mails = [_parse(path) for path in sorted((running.folder / "mail").rglob("*.eml"))]
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM)
            _take_dashboard(browser, running)
            _take_prometheus(browser, scraping)
            for picture, beginning in SUBJECTS.items():
                shown = [mail for mail in mails if str(mail["Subject"]).startswith(beginning)]
                if not shown:
                    sys.exit(f"the demo wrote no mail for {picture}: {[str(mail['Subject']) for mail in mails]}")
                _take(browser, shown[0], picture)
            browser.close()


def _parse(path: Path) -> EmailMessage:
    parsed = email.message_from_bytes(path.read_bytes(), policy=default)
    assert isinstance(parsed, EmailMessage)  # noqa: S101  (for mypy: the policy decides the type)
    return parsed


def _take(browser: Browser, mail: EmailMessage, picture: str) -> None:
    body = mail.get_body(("html",))
    if body is None:
        sys.exit(f"this mail has no HTML: {mail['Subject']}")
    page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}, device_scale_factor=1.5)
    page.set_content(body.get_content())
    _save(page, picture, HEIGHT)
    page.close()


def _take_dashboard(browser: Browser, running: Running) -> None:
    """Sign an owner in by a link of the command line, and take a picture of the first page."""
    words = [
        sys.executable,
        "-m",
        "app.cli",
        "people",
        "add",
        "robin@example.org",
        "--role",
        "owner",
        "--name",
        "Robin",
    ]
    shown = subprocess.run(
        words, cwd=running.folder, env=running.environment, check=True, capture_output=True, text=True
    ).stdout
    link = re.search(r"http\S+/link/\S+", shown)
    if link is None:
        sys.exit(f"no link for an owner: {shown}")
    width, height = DASHBOARD
    page = browser.new_page(viewport={"width": width, "height": height}, device_scale_factor=1.5, locale="en-GB")
    page.goto(link[0])
    page.click("form button:has-text('Sign in')")
    page.wait_for_url("**/account*")
    page.goto(running.url)
    page.locator("[data-live]:not([hidden])").wait_for()
    _save(page, "dashboard", height)
    page.close()


def _take_prometheus(browser: Browser, scraping: Prometheus) -> None:
    """Take pictures of the alerts in Prometheus, and there of a query of the board of the fleet.

    These are the pages of Debian's package; the pages of other packages are built differently.
    """
    wait_until("the alerts in Prometheus", lambda: scraping.firing() >= ALERTS, 60)
    page = browser.new_page(viewport={"width": PROMETHEUS_WIDTH, "height": 600}, device_scale_factor=1.5)
    page.set_default_timeout(PATIENCE_MS)
    page.goto(f"{scraping.url}/classic/alerts")
    page.click("label:has(#inactiveAlerts)")
    page.click("div.show-annotations")
    page.click("tr.alert_header:has-text('BackupFailed')")
    page.locator(".alert_annotations:visible", has_text="shares of files01 failed").wait_for()
    _save(page, "prometheus-alerts", _bottom_of(page, "#alertsTable"))
    board = json.loads((DEPLOY / "grafana/fleet.json").read_text(encoding="utf-8"))
    [panel] = [one for one in board["panels"] if one["title"] == PANEL]
    page.goto(f"{scraping.url}/graph?" + urlencode({"g0.expr": panel["targets"][0]["expr"], "g0.tab": 1}))
    page.locator(".console_table td:has-text('failed')").first.wait_for()
    _save(page, "prometheus-query", _bottom_of(page, "#graph_wrapper0"))
    page.close()


def _bottom_of(page: Page, selector: str) -> float:
    box = page.locator(selector).bounding_box()
    if box is None:
        sys.exit(f"{page.url} does not show {selector}")
    return box["y"] + box["height"]


def _save(page: Page, picture: str, height: float) -> None:
    """Write the page from its top down to `height` as a PNG of at most 256 colours."""
    width = page.viewport_size["width"] if page.viewport_size else WIDTH
    whole = page.screenshot(full_page=True, clip={"x": 0, "y": 0, "width": width, "height": height})
    command = ["pngquant", "--speed", "1", "256", "-"]
    small = subprocess.run(command, input=whole, capture_output=True, check=True).stdout
    path = PICTURES / f"{picture}.png"
    if len(small) > LARGEST_BYTES:
        sys.exit(f"{path.name} would have {len(small)} bytes; at most {LARGEST_BYTES} are allowed")
    path.write_bytes(small)
    print(f"{path.relative_to(DOCS.parent)}: {len(small)} bytes")


if __name__ == "__main__":
    main()
