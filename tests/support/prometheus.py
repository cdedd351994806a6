"""Runs a real Prometheus that scrapes every second, and asks it queries."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.support.ports import lasting_port
from tests.support.running import CLIENT, Running, wait_until


@dataclass(frozen=True, slots=True)
class Prometheus:
    """A Prometheus that runs."""

    url: str

    def query(self, expression: str) -> list[dict[str, Any]]:
        """Return what a query returns now. Raises httpx.HTTPStatusError for one that cannot be read."""
        answer = CLIENT.get(f"{self.url}/api/v1/query", params={"query": expression}, timeout=30).raise_for_status()
        return list(answer.json()["data"]["result"])

    def series(self, selector: str) -> list[dict[str, str]]:
        """Return the labels of the series that match."""
        answer = CLIENT.get(f"{self.url}/api/v1/series", params={"match[]": selector}, timeout=30).raise_for_status()
        return list(answer.json()["data"])

    def firing(self) -> set[str]:
        """Return the names of the alerts that fire."""
        found = CLIENT.get(f"{self.url}/api/v1/alerts", timeout=30).raise_for_status().json()["data"]["alerts"]
        return {one["labels"]["alertname"] for one in found if one["state"] == "firing"}


def scrapes_of(running: Running, folder: Path) -> list[dict[str, Any]]:
    """Return what docs/monitoring/prometheus.md lets Prometheus scrape of a service: itself and its jobs. The key of kind monitor is written to `folder`."""
    body, admin = {"kind": "monitor", "name": "prometheus"}, {"Authorization": f"Bearer {running.admin_key}"}
    created = CLIENT.post(f"{running.url}/v1/keys", json=body, headers=admin, timeout=30).raise_for_status()
    (folder / "monitor.key").write_text(created.json()["key"], encoding="utf-8")
    targets = [{"targets": [running.url.removeprefix("http://")]}]
    jobs = {
        "job_name": "tocsin-jobs",
        "metrics_path": "/metrics/jobs",
        "honor_labels": True,  # the label job is the job of the backup
        "authorization": {"credentials_file": str(folder / "monitor.key")},
    }
    return [{"job_name": "tocsin", "static_configs": targets}, jobs | {"static_configs": targets}]


@contextmanager
def prometheus(folder: Path, rules: Path, scrapes: list[dict[str, Any]]) -> Iterator[Prometheus]:
    """Start Prometheus with these rules and scrape configurations, and stop it at the end."""
    folder.mkdir()
    shutil.copy(rules, folder / "rules.yaml")
    every = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    # JSON is YAML too.
    config = {"global": every, "rule_files": ["rules.yaml"], "scrape_configs": scrapes}
    (folder / "prometheus.yaml").write_text(json.dumps(config), encoding="utf-8")
    url = f"http://127.0.0.1:{lasting_port()}"
    command = ["prometheus", "--config.file=prometheus.yaml", "--storage.tsdb.path=data"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [*command, f"--web.listen-address={url.removeprefix('http://')}"], cwd=folder, stdout=log, stderr=log
        )
    try:

        def is_ready() -> bool:
            assert process.poll() is None, (folder / "log").read_text(encoding="utf-8")
            try:
                return CLIENT.get(f"{url}/-/ready", timeout=5).is_success
            except httpx.TransportError:
                return False

        wait_until("Prometheus", is_ready, 60)
        yield Prometheus(url)
    finally:
        process.terminate()
        process.wait(30)
