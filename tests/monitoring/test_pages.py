"""The pages in docs/monitoring: short, linked, and each command on them works from top to bottom."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from docs.monitoring_table import BEGIN, END, ROWS, missing, put_into, table
from tests.support import curl
from tests.support.prometheus import prometheus
from tests.support.running import CLIENT, Running, serving, wait_until
from tests.support.sources import ROOT

FOLDER = ROOT / "docs/monitoring"
FIRST = ("README.md", "nagios.md")  # they fetch the key and the plugin that the others use
PAGES = [*FIRST, *sorted(page.name for page in FOLDER.glob("*.md") if page.name not in FIRST)]
LINES = 40


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_short_and_its_links_have_a_target(name: str):
    text = (FOLDER / name).read_text(encoding="utf-8")
    assert len(text.splitlines()) <= LINES
    assert [link for link in re.findall(r"\]\(([^)\s#:]+)\)", text) if not (FOLDER / link).exists()] == []


def test_the_table_of_the_readme_has_a_row_for_each_page_and_is_written_whole(tmp_path: Path):
    named = {Path(page).name for row in ROWS for page in row.pages}
    assert {page for page in PAGES if page != "README.md"} <= named
    seconds = {row.name: {"tested_with": "x 1.2", "failure": 1.0, "recovery": 2.5} for row in ROWS}
    assert missing(seconds) == []
    assert missing({**seconds, "snmp": {"tested_with": "x", "failure": 1.0}}) == ["snmp"]
    text = put_into((ROOT / "README.md").read_text(encoding="utf-8"), table(seconds))
    assert "| [syslog.md](docs/monitoring/syslog.md) | x 1.2 | 1.0 s | 2.5 s |" in text
    assert put_into(text, table(seconds)) == text


def test_the_readme_shows_what_was_measured():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    lines = text.partition(BEGIN)[2].partition(END)[0].strip().splitlines()[2:]
    assert len(lines) == len(ROWS)
    for row, line in zip(ROWS, lines, strict=True):
        assert line.startswith(f"| {row.what} |")
        assert len(re.findall(r"\| \d+\.\d s(?= )", line)) == (2 if row.has_times else 0), line


@pytest.mark.slow
def test_the_commands_of_all_pages_work_one_after_the_other(tmp_path: Path):
    with serving(tmp_path / "var") as running:
        event = {"agent": "sql01", "job": "nightly-sql", "outcome": "failure", "message": "repository is locked"}
        headers = {"Authorization": f"Bearer {running.enrol_key}"}
        CLIENT.post(f"{running.url}/v1/events", json=event, headers=headers).raise_for_status()
        wait_until("the alert", lambda: running.ask("/v1/alerts", state="open")["items"])
        blocks = [
            block
            for name in PAGES
            for block in re.findall(
                r"^```sh\n(.*?)^```$", (FOLDER / name).read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL
            )
        ]
        script = "set -euo pipefail\n" + "\n".join(blocks).replace("http://127.0.0.1:8000", running.url)
        path = f"{curl.on_path(tmp_path / 'bin')}{Path(sys.executable).parent}:{os.environ['PATH']}"
        environment = {"PATH": path, "ADMIN_KEY": running.admin_key, "LC_ALL": "C.UTF-8"}
        ran = subprocess.run(
            ["bash", "-x"],
            input=script,
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert ran.returncode == 0, ran.stdout[-3000:] + ran.stderr[-3000:]
        for part in ('"verdict":"critical"', 'state="failed"} 1', "TOCSIN CRITICAL", '2 "Backups"', "nightly-sql"):
            assert part in ran.stdout, part


def _config(page: str, language: str) -> str:
    [block] = re.findall(
        rf"^```{language}\n(.*?)^```$", (FOLDER / page).read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )
    return block


@pytest.fixture(scope="module")
def failed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Running, Path]]:
    """A service with the failed job of the pages, and a folder with monitor.key and check_tocsin as the pages leave them."""
    folder = tmp_path_factory.mktemp("pages")
    with serving(folder / "var") as running:
        event = {"agent": "sql01", "job": "nightly-sql", "outcome": "failure", "message": "repository is locked"}
        headers = {"Authorization": f"Bearer {running.enrol_key}"}
        CLIENT.post(f"{running.url}/v1/events", json=event, headers=headers).raise_for_status()
        body, admin = {"kind": "monitor", "name": "m"}, {"Authorization": f"Bearer {running.admin_key}"}
        key = CLIENT.post(f"{running.url}/v1/keys", json=body, headers=admin).json()["key"]
        (folder / "monitor.key").write_text(key, encoding="utf-8")
        plugin = CLIENT.get(f"{running.url}/downloads/check_tocsin").raise_for_status()
        (folder / "check_tocsin").write_bytes(plugin.content)
        yield running, folder


@pytest.mark.slow
@pytest.mark.needs("nagios4")
@pytest.mark.skipif(not Path("/etc/nagios4/nagios.cfg").exists(), reason="needs the configuration of Debian's nagios4")
def test_nagios_of_debian_shows_the_failure_after_the_steps_of_its_page(failed: tuple[Running, Path], tmp_path: Path):
    running, folder = failed
    tmp_path.chmod(0o755)
    for part in ("lib", "run", "log", "state/rw", "state/spool/checkresults"):
        (tmp_path / part).mkdir(parents=True)
    shutil.copytree("/etc/nagios4", tmp_path / "etc")
    here = {"/etc/nagios4": "etc", "/usr/local/lib/nagios": "lib", "/var/lib/nagios4": "state", "/var/log/nagios4": "log", "/var/run/nagios4": "run"}  # fmt: skip

    def moved(text: str) -> str:
        for place, name in here.items():
            text = text.replace(place, str(tmp_path / name))
        return text.replace("http://127.0.0.1:8000", running.url)

    steps = [line.removeprefix("# ") for line in _config("nagios.md", "console").splitlines()]
    as_root = moved("\n".join(steps)).replace("-o nagios ", "")  # this Nagios runs as who runs the test
    subprocess.run(["bash", "-euc", as_root], cwd=folder, check=True, timeout=30)
    (tmp_path / "etc/conf.d/tocsin.cfg").write_text(moved(_config("nagios.md", "nagios")), encoding="utf-8")
    main = moved((tmp_path / "etc/nagios.cfg").read_text(encoding="utf-8")).replace("_user=nagios", "_user=root")
    quick = "\ninterval_length=1\nstatus_update_interval=1\nservice_inter_check_delay_method=n\n"
    kept = [
        line for line in main.splitlines() if not line.startswith(("interval_length", "status_update", "service_inter"))
    ]
    (tmp_path / "etc/nagios.cfg").write_text("\n".join(kept).replace("_group=nagios", "_group=root") + quick)
    program = shutil.which("nagios4") or "/usr/sbin/nagios4"
    with (tmp_path / "out").open("wb") as out:
        process = subprocess.Popen([program, str(tmp_path / "etc/nagios.cfg")], stdout=out, stderr=out)
    try:
        shown = tmp_path / "state/status.dat"

        def is_red() -> bool:
            assert process.poll() is None, (tmp_path / "out").read_text()
            blocks = shown.read_text(encoding="utf-8").split("servicestatus {") if shown.exists() else []
            return any("description=backup nightly-sql" in one and "current_state=2" in one for one in blocks)

        wait_until("CRITICAL", is_red, 90)
        assert "sql01: nightly-sql (backup) is failed" in shown.read_text(encoding="utf-8")
    finally:
        process.terminate()
        process.wait(30)


@pytest.mark.slow
@pytest.mark.needs("prometheus")
def test_prometheus_fires_after_the_steps_of_its_page(failed: tuple[Running, Path], tmp_path: Path):
    running, folder = failed
    config = yaml.safe_load(
        _config("prometheus.md", "yaml").replace("127.0.0.1:8000", running.url.removeprefix("http://"))
    )
    assert config["rule_files"] == ["prometheus-rules.yaml"]
    for one in config["scrape_configs"]:
        if "authorization" in one:
            one["authorization"]["credentials_file"] = str(folder / one["authorization"]["credentials_file"])
    with prometheus(
        tmp_path / "prometheus", ROOT / "deploy/prometheus-rules.yaml", config["scrape_configs"]
    ) as started:
        wait_until("the alert", lambda: "BackupFailed" in started.firing(), 60)


@pytest.mark.needs("icinga2")
def test_icinga_accepts_the_configuration_of_its_page(tmp_path: Path):
    block = _config("icinga.md", "icinga2")
    own = 'const NodeName = "localhost"\nconst ZoneName = "localhost"\ninclude <itl>\n'
    (tmp_path / "page.conf").write_text(own + block, encoding="utf-8")
    for name in ("data", "log", "cache", "spool", "run"):
        (tmp_path / name).mkdir()
    places = ("DataDir=data", "LogDir=log", "CacheDir=cache", "SpoolDir=spool", "InitRunDir=run")
    defined = [f"-D{name}={tmp_path / folder}" for name, folder in (place.split("=") for place in places)]
    program = shutil.which("icinga2") or "/usr/sbin/icinga2"
    command = [
        program,
        "daemon",
        "-C",
        "-c",
        str(tmp_path / "page.conf"),
        *defined,
        "-DRunAsUser=root",
        "-DRunAsGroup=root",
    ]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "1 Service" in ran.stdout
