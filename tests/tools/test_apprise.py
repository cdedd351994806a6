"""PyPI's Apprise notifies by each kind of URL that can be sent to an address of ours."""

import subprocess
from collections.abc import Iterator

import pytest

from tests.support.borgmatic import PYPI
from tests.support.tools import Heard, hearing

pytestmark = pytest.mark.needs("tools:apprise")
URLS = [
    "json://{host}/in/apprise/{key}",
    "xml://{host}/in/apprise/{key}",
    "form://{host}/in/apprise/{key}",
    "json://{host}/in/apprise/{key}?method=PUT",
    "apprise://{host}/{key}",
    "apprise://{host}/{key}?version=1",
    "ntfy://{key}@{host}/photos?auth=token",
    "ntfy://any:{key}@{host}/photos",
]


@pytest.fixture(scope="module")
def heard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Heard]:
    with hearing(tmp_path_factory.mktemp("var")) as heard:
        yield heard


def notify(url: str, kind: str, title: str, text: str) -> None:
    command = [str(PYPI / "apprise"), "-vv", "-n", kind, "-t", title, "-b", text, url]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("url", URLS)
def test_failure_warning_and_success_keep_their_outcome(heard: Heard, url: str):
    job = url.partition("{key}")[0] + url[-6:]
    address = url.format(host=heard.running.url.rpartition("/")[2], key=heard.key("token", job))
    notify(address, "failure", "Backup failed ✘", "disk full\n<b>x</b> & y")
    heard.job(job, "failed")
    (end,) = heard.events(job)
    assert end["message"] == "Backup failed ✘"
    assert "disk full" in end["log"]
    assert "<b>x</b> & y" in end["log"]
    notify(address, "warning", "Backup partial", "3 files were skipped")
    notify(address, "success", "Backup succeeded", "all well")
    heard.job(job, "ok")
    assert [event["outcome"] for event in heard.events(job)] == ["failure", "warning", "success"]
