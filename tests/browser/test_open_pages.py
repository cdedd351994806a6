"""Pages that open without a sign-in from a mail: unsubscribing from a summary."""

from collections.abc import Iterator
from email import message_from_bytes, policy
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser

from tests.browser.test_pages import Seen, fits_everywhere
from tests.support.cli import serving_process
from tests.support.ports import lasting_port
from tests.support.smtp import SmtpServer

pytestmark = [pytest.mark.slow, pytest.mark.needs("chromium", "npm")]
KEY, NAME = "a-key-of-the-administrator", "Backups of <b>Ann</b> & Co"
HOME = "https://backup.example.org"


@pytest.fixture
def smtp() -> Iterator[SmtpServer]:
    with SmtpServer() as server:
        yield server


def test_somebody_outside_unsubscribes_by_the_link_in_a_summary(
    tmp_path: Path, smtp: SmtpServer, chromium: Browser, axe: str
) -> None:
    mail = {"smtp_url": f"smtp://127.0.0.1:{smtp.port}", "mail_from": "tocsin@example.org"}
    port = str(lasting_port())
    with serving_process(tmp_path, port=port, base_url=HOME, admin_key=KEY, admin_email="ada@example.org", **mail):
        here = f"http://127.0.0.1:{port}"
        with httpx.Client(base_url=here, headers={"Authorization": f"Bearer {KEY}"}, timeout=60) as api:
            ann = {"name": "Ann", "transports": [{"transport": "smtp", "address": "ann@customer.example"}]}
            made = api.post("/v1/recipients", json=ann).raise_for_status().json()
            weekly = {"name": NAME, "every": "week", "recipients": [made["id"]]}
            schedule = api.post("/v1/summary-schedules", json=weekly).raise_for_status().json()
            api.post(f"/v1/summary-schedules/{schedule['id']}:send-now").raise_for_status()
            [sent, *_] = smtp.wait_for(1, 60)
            link = message_from_bytes(sent.data, policy=policy.default)["List-Unsubscribe"]
            path = link.partition(HOME)[2].partition(">")[0]
            page, seen = chromium.new_context(base_url=here).new_page(), Seen(here)
            seen.watch(page)
            page.goto(path)
            assert NAME in page.locator("main").inner_text()
            fits_everywhere(page, axe)
            page.get_by_role("button", name="Unsubscribe").click()
            page.get_by_role("heading", name="You are unsubscribed").wait_for()
            fits_everywhere(page, axe)
            assert not api.get(f"/v1/summary-schedules/{schedule['id']}").json()["enabled"]
            assert seen.errors == []
            assert seen.elsewhere == []
