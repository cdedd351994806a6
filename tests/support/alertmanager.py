"""Runs a real Prometheus Alertmanager, and reads the alerts that it shows."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from tests.support.ports import lasting_port
from tests.support.running import CLIENT, wait_until

PROGRAM = shutil.which("prometheus-alertmanager") or "prometheus-alertmanager"
_CONFIG = """\
global:
  resolve_timeout: {resolve_timeout}
route:
  receiver: nobody
receivers:
  - name: nobody
"""


@dataclass
class Alertmanager:
    """An Alertmanager that forgets everything when it is started again."""

    folder: Path
    port: int
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it with empty data, and wait until it answers."""
        data = self.folder / f"data{len(self.processes)}"
        command = [PROGRAM, f"--config.file={self.folder}/alertmanager.yml", f"--storage.path={data}"]
        listen = [f"--web.listen-address=127.0.0.1:{self.port}", "--cluster.listen-address="]
        with (self.folder / "log").open("ab") as log:
            self.processes.append(subprocess.Popen([*command, *listen], stdout=log, stderr=log))

        def look() -> bool:
            try:
                return CLIENT.get(f"{self.url}/-/ready", timeout=5).is_success
            except httpx.HTTPError:
                return False

        wait_until("Alertmanager", look)

    def kill(self) -> None:
        """Kill the one that runs."""
        self.processes[-1].kill()
        self.processes[-1].wait(10)

    def alerts(self) -> list[dict]:
        """Return the alerts that fire there now."""
        shown = CLIENT.get(f"{self.url}/api/v2/alerts", timeout=5)
        shown.raise_for_status()
        return shown.json()


@contextmanager
def alertmanager(folder: Path, resolve_timeout: str = "5m") -> Iterator[Alertmanager]:
    """Run one until the block ends."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "alertmanager.yml").write_text(_CONFIG.format(resolve_timeout=resolve_timeout), encoding="utf-8")
    one = Alertmanager(folder, lasting_port())
    one.start()
    try:
        yield one
    finally:
        one.kill()
