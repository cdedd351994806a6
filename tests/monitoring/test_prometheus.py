"""A real Prometheus scrapes a service: its alert follows a failure and its recovery, and each query of each Grafana board returns data."""

import json
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import httpx
import pytest

from tests.support.measured import Measured, version_of
from tests.support.prometheus import Prometheus, prometheus, scrapes_of
from tests.support.running import Running, serving, wait_until
from tests.support.sources import ROOT

pytestmark = [pytest.mark.needs("prometheus", "promtool"), pytest.mark.slow]
BOARDS = sorted((ROOT / "deploy/grafana").glob("*.json"))
SEEN_WITHIN_S = 60  # on a busy host a scrape can take longer than its second, and is tried again
FLEET = [
    ("sql01", "nightly-sql", "success"),
    ("sql01", "logs", "warning"),
    ("files01", "shares", "success"),
    ("web01", "www", "failure"),
]
CHOSEN = {"agent": "sql01", "job": "nightly-sql"}


@dataclass(frozen=True, slots=True)
class Scraped:
    """A service that Prometheus scrapes."""

    running: Running
    prometheus: Prometheus

    def report(self, agent: str, job: str, outcome: str) -> None:
        """Report one run."""
        event = {
            "agent": agent, "job": job, "outcome": outcome,
            "metrics": {"duration_s": 61.5, "bytes_processed": 5_000_000, "bytes_stored": 1_000_000},
        }  # fmt: skip
        headers = {"Authorization": f"Bearer {self.running.enrol_key}"}
        httpx.post(f"{self.running.url}/v1/events", json=event, headers=headers, timeout=30).raise_for_status()


@pytest.fixture(scope="module")
def scraped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scraped]:
    folder = tmp_path_factory.mktemp("prometheus")
    rules = ROOT / "deploy/prometheus-rules.yaml"
    with serving(folder / "var") as running:
        scrapes = scrapes_of(running, folder)
        with prometheus(folder / "prometheus", rules, scrapes) as started:
            found = Scraped(running, started)
            for agent, job, outcome in FLEET:
                found.report(agent, job, outcome)
            wait_until("the fleet", lambda: len(started.query("tocsin_job_state")) == len(FLEET), 60)
            yield found


def test_a_failure_is_an_alert_there_that_ends_with_the_recovery(scraped: Scraped):
    measured = Measured("prometheus", f"Prometheus {version_of('prometheus')}")
    wait_until("the alert", lambda: "BackupFailed" in scraped.prometheus.firing(), SEEN_WITHIN_S)
    with measured.recovery():
        scraped.report("web01", "www", "success")
        wait_until("the recovery", lambda: "BackupFailed" not in scraped.prometheus.firing(), SEEN_WITHIN_S)
    with measured.failure():
        scraped.report("web01", "www", "failure")
        wait_until("the alert again", lambda: "BackupFailed" in scraped.prometheus.firing(), SEEN_WITHIN_S)


@pytest.mark.parametrize("path", BOARDS, ids=lambda path: path.stem)
def test_each_query_of_a_board_returns_data(scraped: Scraped, path: Path):
    board = json.loads(path.read_text(encoding="utf-8"))
    [customer] = {one["customer"] for one in scraped.prometheus.series("tocsin_job_state")}
    values = {"customer": customer, **CHOSEN}

    def filled(expression: str) -> str:
        for name, value in values.items():
            expression = expression.replace(f"${name}", value)
        assert "$" not in expression
        return expression

    asked = [(panel["title"], target["expr"]) for panel in board["panels"] for target in panel["targets"]]
    assert asked
    for title, expression in asked:
        query = partial(scraped.prometheus.query, filled(expression))
        # A rate needs two scrapes, and the worker writes its metrics every few seconds.
        wait_until(f"data of {title!r}", query, SEEN_WITHIN_S)
    for variable in board["templating"]["list"]:
        if variable["type"] == "query":
            values_of = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["query"]["query"])
            assert values_of is not None
            named = partial(scraped.prometheus.series, filled(values_of[1]))
            found = wait_until(f"values of {variable['name']!r}", named, SEEN_WITHIN_S)
            assert all(one[values_of[2]] for one in found)
    Measured("grafana", f"each query by Prometheus {version_of('prometheus')}").write()


@pytest.mark.parametrize("path", ["/metrics", "/metrics/jobs"])
def test_the_names_and_units_are_as_prometheus_wants_them(scraped: Scraped, path: str):
    text = httpx.get(
        f"{scraped.running.url}{path}", headers={"Authorization": f"Bearer {scraped.running.admin_key}"}, timeout=30
    ).text
    ran = subprocess.run(
        ["promtool", "check", "metrics"], input=text, capture_output=True, text=True, timeout=60, check=False
    )
    assert (ran.returncode, ran.stdout + ran.stderr) == (0, "")
