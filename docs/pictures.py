"""Makes the pictures of the README from the demo: `make pictures` writes docs/pictures/*.png.

It starts the service on an empty folder, runs `tocsin demo`, and takes pictures of the mails that this wrote, and of the first page of
the dashboard. It needs Chromium.
"""

import email
import re
import shutil
import subprocess
import sys
import tempfile
from email.message import EmailMessage
from email.policy import default
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

from tests.support.running import Running, serving

PICTURES = Path(__file__).resolve().parent / "pictures"
WIDTH, HEIGHT = 720, 1010  # of a picture in CSS pixels; what is longer is cut
SUBJECTS = {"alert": "[FAILED]", "summary": "Backups"}  # each picture shows the first mail whose subject begins so

CHROMIUM = ["--no-sandbox", "--disable-background-networking"]
DASHBOARD = (1280, 900)  # of the picture of the dashboard, in CSS pixels


def main() -> None:
    """Run the demo and take the pictures."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        sys.exit("Chromium is missing. On Debian and Ubuntu: apt install chromium")
    with tempfile.TemporaryDirectory() as folder, serving(Path(folder) / "var") as running:
        subprocess.run(
            [sys.executable, "-m", "app.cli", "demo"], cwd=running.folder, env=running.environment, check=True
        )
        mails = [_parse(path) for path in sorted((running.folder / "mail").rglob("*.eml"))]
        PICTURES.mkdir(exist_ok=True)
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM)
            _take_dashboard(browser, running)
            browser.close()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM)
        for name, beginning in SUBJECTS.items():
            shown = [mail for mail in mails if str(mail["Subject"]).startswith(beginning)]
            if not shown:
                sys.exit(f"the demo wrote no mail for {name}: {[str(mail['Subject']) for mail in mails]}")
            _take(browser, shown[0], PICTURES / f"{name}.png")
        browser.close()


def _parse(path: Path) -> EmailMessage:
    parsed = email.message_from_bytes(path.read_bytes(), policy=default)
    assert isinstance(parsed, EmailMessage)  # noqa: S101  (for mypy: the policy decides the type)
    return parsed


def _take(browser: Browser, mail: EmailMessage, path: Path) -> None:
    body = mail.get_body(("html",))
    if body is None:
        sys.exit(f"this mail has no HTML: {mail['Subject']}")
    page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}, device_scale_factor=1.5)
    page.set_content(body.get_content())
    page.screenshot(path=path)
    page.close()
    print(f"{path.relative_to(PICTURES.parents[1])}: {mail['Subject']}")


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
    path = PICTURES / "dashboard.png"
    page.screenshot(path=path)
    print(f"{path.relative_to(PICTURES.parents[1])}: {page.title()}")
    page.close()


if __name__ == "__main__":
    main()
