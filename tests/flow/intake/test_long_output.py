"""The lines of the documents and of `GET /v1/connect` that report a command's output, each run with 1 MiB of it, as cron runs them."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.http.tools.setup_lines import TOOL_SETUPS, SetupValues, fill_in
from tests.support import curl
from tests.support.running import Running, serving, wait_until
from tests.support.sources import ROOT

LAST = "the last line: disk full"
# What the command prints: 1 MiB with whatever a shell could take for something else.
SCRIPT = rf"""#!{sys.executable}
import sys
sys.stdout.write("first line %s 100% \\c \\n 'x' \"y\" $HOME\n" + "copied /srv/a file, all is well so far\n" * 27000)
sys.stderr.write("{LAST}\n")
sys.exit({{code}})
"""
CRON = re.compile(r"^\S+ \S+ \S+ \S+ \S+ {1,4}(?:root )?(?P<command>.*(?:\$out|tocsin-report).*)$")
RETRIED = re.compile(
    r"^curl: \(28\) .*$", re.MULTILINE
)  # a busy machine answers after the 10 s of a line; curl tries again


def _pages() -> Iterator[tuple[str, str]]:
    """Yield the shell lines of each page that post the output of a command, under the page's name."""
    for page in sorted((ROOT / "docs" / "tools").glob("*.md")):
        text = page.read_text(encoding="utf-8")
        for block in re.findall(r"^```\w*\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL):
            if "$out" in block:
                yield page.name, block
        for line in re.findall(r"`([^`\n]*tocsin-report run [^`\n]*restic backup[^`\n]*)`", text):
            if line[0].isdigit():
                yield page.name, line


def _setups() -> Iterator[tuple[str, str]]:
    for row in TOOL_SETUPS:
        if any("$out" in line for line in row.lines):
            yield row.tool, "\n".join(line for line in row.lines if not line.startswith("<url>"))


LINES = [*_pages(), *_setups()]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with serving(tmp_path_factory.mktemp("long") / "var") as running:
        yield running


def test_there_are_lines_of_every_kind():
    assert {name for name, _ in LINES} >= {
        "healthchecks.md",
        "restic.md",
        "borg.md",
        "tocsin-report.md",
        "healthchecks",
        "restic",
        "borg",
    }


def _as_cron_runs_it(text: str) -> str:
    """Return the command of a crontab's line with its percent signs unescaped; any other text unchanged."""
    found = CRON.match(text.strip())
    return text if found is None else found["command"].replace(r"\%", "%")


@pytest.mark.parametrize("code", [0, 3])
@pytest.mark.parametrize(("name", "text"), LINES, ids=[name for name, _ in LINES])
def test_a_line_reports_the_outcome_and_the_end_of_one_mebibyte(
    name: str, text: str, code: int, service: Running, tmp_path: Path
):
    programs = tmp_path / "bin"
    programs.mkdir()
    for program in ("backup.sh", "restic", "borg"):
        (programs / program).write_text(SCRIPT.format(code=code), encoding="utf-8")
        (programs / program).chmod(0o755)
    reporter = programs / "tocsin-report"
    reporter.write_text(
        f'#!/bin/sh\ncd "{ROOT}" && exec "{sys.executable}" -m programs.reporter "$@"\n', encoding="utf-8"
    )
    reporter.chmod(0o755)
    command = (
        _as_cron_runs_it(text).replace("/usr/local/bin/", f"{programs}/").replace("http://tocsin:8000", service.url)
    )
    job = f"{name.partition('.')[0]}-{'page' if '.' in name else 'line'}-{code}"
    values = SetupValues(service.url, service.enrol_key, job)
    command = fill_in(command, values).replace("job=photos", f"job={job}").replace("--job photos", f"--job {job}")
    if "/ping/" in command:
        command = command.replace("/$code", f"/{job}/$code")  # the slug names the job under this key
    environment = {
        **os.environ,
        "PATH": f"{curl.on_path(tmp_path / 'curl')}{programs}:{os.environ['PATH']}",
        "TOCSIN_REPORT_URL": service.url,
        "TOCSIN_REPORT_KEY": service.enrol_key,
        "TOCSIN_REPORT_AGENT": "nas01",
        "TOCSIN_REPORT_SPOOL": str(tmp_path / "spool"),
    }
    ran = subprocess.run(["sh", "-c", command], env=environment, capture_output=True, timeout=120, check=False)
    assert RETRIED.sub("", ran.stderr.decode(errors="replace").replace(LAST, "")).strip() == ""
    (event,) = wait_until(
        f"the event of {job}",
        lambda: [
            one
            for one in service.ask("/v1/events", limit=200)["items"]
            if one["job"] == job and one["phase"] == "finished"
        ],
    )
    whole = service.ask(f"/v1/events/{event['id']}")
    assert (whole["outcome"] == "success") is (code == 0)
    assert whole["log"].rstrip().endswith(LAST)
    assert whole["log"].startswith("first line")
