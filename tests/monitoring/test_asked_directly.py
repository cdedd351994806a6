"""What programs and people ask for themselves: the status as JSON, local checks of Checkmk, badges and calendars, each read by a parser."""

import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from importlib import metadata
from pathlib import Path

import httpx
import pytest
from icalendar import Calendar

from tests.support.measured import Measured
from tests.support.running import CLIENT, Running, serving, wait_until
from tests.support.sources import ROOT

PLUGIN = [sys.executable, str(ROOT / "programs/monitoring/check_tocsin.py")]
# https://docs.checkmk.com/latest/en/localchecks.html: state, name of the service (in quotation marks), values or "-", text
LOCAL_CHECK = re.compile(r'([0123P]) ("[^"]+"|[^" ]+) (-|[^ =|]+=[^ |]+(?:\|[^ =|]+=[^ |]+)*) (\S.*)')
EVIL = '<script>alert(1)</script> & "]]>'
pytestmark = pytest.mark.slow


@dataclass(frozen=True, slots=True)
class Asked:
    """A service that programs ask."""

    running: Running
    key: str

    def report(self, job: str, outcome: str) -> None:
        """Report one run of the agent web01."""
        event = {"agent": "web01", "job": job, "outcome": outcome, "message": "disk full"}
        headers = {"Authorization": f"Bearer {self.running.enrol_key}"}
        CLIENT.post(f"{self.running.url}/v1/events", json=event, headers=headers, timeout=30).raise_for_status()

    def get(self, path: str, key: str | None = None) -> httpx.Response:
        """Get a path, with a key or without one."""
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        return CLIENT.get(f"{self.running.url}{path}", headers=headers, timeout=30).raise_for_status()

    def share(self, kind: str, shows: list[str]) -> str:
        """Create a share link, and return its token."""
        body = {"kind": kind, "name": EVIL, "customer_ids": None, "shows": shows}
        headers = {"Authorization": f"Bearer {self.running.admin_key}"}
        made = CLIENT.post(f"{self.running.url}/v1/share-links", json=body, headers=headers, timeout=30)
        return made.raise_for_status().json()["token"]


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asked]:
    with serving(tmp_path_factory.mktemp("asked") / "var") as running:
        body, headers = {"kind": "monitor", "name": "m"}, {"Authorization": f"Bearer {running.admin_key}"}
        key = CLIENT.post(f"{running.url}/v1/keys", json=body, headers=headers, timeout=30).json()["key"]
        asked = Asked(running, key)
        asked.report("www", "success")
        wait_until("the first run", lambda: asked.get("/v1/status", key).json()["verdict"] == "ok")
        yield asked


def test_the_verdict_follows_a_failure_and_its_end(asked: Asked):
    measured = Measured("status", "an HTTP client that asks ten times a second")
    with measured.failure():
        asked.report("www", "failure")
        wait_until("critical", lambda: asked.get("/v1/status", asked.key).json()["verdict"] == "critical")
    with measured.recovery():
        asked.report("www", "success")
        wait_until("ok", lambda: asked.get("/v1/status", asked.key).json()["verdict"] == "ok")


def test_a_local_check_of_checkmk_follows_a_failure_and_its_end(asked: Asked, tmp_path: Path):
    (tmp_path / "key").write_text(asked.key, encoding="utf-8")
    command = [*PLUGIN, "summary", "-U", asked.running.url, "-K", str(tmp_path / "key"), "--checkmk", "Backups"]

    def state() -> str:
        ran = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
        [line] = ran.stdout.splitlines()
        found = LOCAL_CHECK.fullmatch(line)
        assert found is not None, line
        assert found[2] == '"Backups"'
        return found[1]

    measured = Measured("checkmk", "the published format of local checks")
    with measured.failure():
        asked.report("www", "failure")
        wait_until("CRIT", lambda: state() == "2")
    with measured.recovery():
        asked.report("www", "success")
        wait_until("OK", lambda: state() == "0")


def test_a_badge_is_a_picture_that_follows_a_failure_and_its_end(asked: Asked):
    path = f"/badge/{asked.share('badge', ['counts'])}.svg"

    def words() -> list[str]:
        picture = ET.fromstring(asked.get(path).text)
        assert picture.tag == "{http://www.w3.org/2000/svg}svg"
        assert not [one for one in picture.iter() if one.tag.endswith("script")]
        return [text.text or "" for text in picture.iter("{http://www.w3.org/2000/svg}text")]

    wait_until("ok", lambda: words() == ["backups", "ok: 1 ok"])
    measured = Measured("shared", f"an XML parser, and icalendar {metadata.version('icalendar')}")
    with measured.failure():
        asked.report("www", "failure")
        wait_until("critical", lambda: words() == ["backups", "critical: 1 failed"])
    with measured.recovery():
        asked.report("www", "success")
        wait_until("ok", lambda: words() == ["backups", "ok: 1 ok"])


def test_a_calendar_with_names_from_events_is_read_by_a_parser(asked: Asked):
    name = f"nightly; a, b\\n BEGIN:VEVENT {EVIL} ü"
    asked.report(name, "success")
    [job] = wait_until("the job", lambda: asked.running.ask("/v1/jobs", name=name)["items"])
    headers = {"Authorization": f"Bearer {asked.running.admin_key}"}
    body = {"expectation": {"period_s": 86400}}
    CLIENT.patch(f"{asked.running.url}/v1/jobs/{job['id']}", json=body, headers=headers, timeout=30).raise_for_status()
    path = f"/v1/calendar/{asked.share('calendar', ['jobs'])}.ics"
    found = wait_until("the runs", lambda: Calendar.from_ical(asked.get(path).content).walk("VEVENT"))
    assert {str(one["SUMMARY"]) for one in found} == {f"Backup expected: {name} on web01"}
    moments = sorted(one.decoded("DTSTART") for one in found)
    assert moments[1] - moments[0] == timedelta(days=1)
