"""Programs that end a cron line, curl and wget, and PyPI's healthchecks-io: as their documentation calls them."""

import subprocess
from collections.abc import Iterator

import pytest

from tests.support.borgmatic import PYPI
from tests.support.tools import Heard, hearing

CLIENT = """
import sys, uuid
from healthchecks_io import Client
url, check, ping_key = sys.argv[1:]
rid = str(uuid.uuid4())
client = Client(ping_url=url)
print(client.start_ping(uuid=check, data="begins"))
print(client.exit_code_ping(3, uuid=check, data="exit three"))
print(Client(ping_url=url, ping_key=ping_key).success_ping(slug="by-slug", data="done"))
"""


@pytest.fixture(scope="module")
def heard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Heard]:
    with hearing(tmp_path_factory.mktemp("var")) as heard:
        yield heard


def run(*command: str, text: str = "") -> str:
    done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


LINES = [
    ("curl", "-fsS", "-m", "10", "--retry", "5", "{}"),
    ("curl", "-fsS", "-m", "10", "--retry", "5", "-X", "POST", "{}"),
    ("curl", "-fsS", "--head", "{}"),
    ("wget", "{}", "-T", "10", "-t", "10", "-qO-"),
    ("wget", "-q", "--spider", "{}"),
]


@pytest.mark.parametrize("line", [pytest.param(line, marks=pytest.mark.needs(line[0])) for line in LINES], ids=" ".join)
def test_a_cron_line_reports_a_failure_and_then_a_success(heard: Heard, line: tuple[str, ...]):
    job = " ".join(line)[:100]
    address = f"{heard.running.url}/ping/{heard.key('uuid', job)}"
    run(*(part.format(f"{address}/fail") for part in line))
    heard.job(job, "failed")
    run(*(part.format(address) for part in line))
    heard.job(job, "ok")


@pytest.mark.needs("curl")
def test_curl_sends_a_script_s_output_and_its_exit_code(heard: Heard):
    address = f"{heard.running.url}/ping/{heard.key('uuid', 'by script')}"
    script = f'out=$(ls --no-such-option 2>&1); curl -fsS -m 10 --retry 5 --data-raw "$out" {address}/$?'
    assert run("sh", "-c", script) == "OK"
    (event,) = heard.events("by script")
    assert (event["outcome"], event["metrics"]["exit_code"]) == ("failure", 2)
    assert "no-such-option" in event["log"]


@pytest.mark.needs("tools:python")
@pytest.mark.parametrize("mount", ["/ping/", "/"])
def test_healthchecks_io_of_pypi(heard: Heard, mount: str):
    job = f"by client {mount}"
    keys = heard.key("uuid", job), heard.key("token")
    output = run(str(PYPI / "python"), "-c", CLIENT, heard.running.url + mount, *keys)
    assert output.splitlines() == ["(True, 'OK')"] * 3
    heard.job(job, "failed")
    heard.job("by-slug", "ok")
