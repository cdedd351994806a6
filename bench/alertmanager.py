"""Prometheus Alertmanager, our peer from an alert to its mail: it keeps alerts in memory, writes nothing to a disk first, and needs no database."""

import contextlib
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

from bench.ground import Process, free_port, running_program
from bench.peers import find_alertmanager

# A mail for each alert, as soon as it can: what our own route does with group_by job and no interval.
_CONFIG = """\
global: {{smtp_smarthost: '127.0.0.1:{port}', smtp_from: 'alertmanager@localhost', smtp_require_tls: false}}
route: {{receiver: mail, group_by: ['...'], group_wait: 0s, group_interval: 1s, repeat_interval: 4h}}
receivers: [{{name: mail, email_configs: [{{to: 'admin@example.org'}}]}}]
"""


@contextlib.contextmanager
def alertmanager(sink: Process) -> Iterator[Process]:
    """Run it until the block ends; it sends to the sink. Raises PeerMissing."""
    program, environment = find_alertmanager()
    with tempfile.TemporaryDirectory(prefix="tocsin-bench-am-") as name:
        config = Path(name) / "config.yml"
        config.write_text(_CONFIG.format(port=sink.port))
        port = free_port()
        command = [
            program,
            f"--config.file={config}",
            f"--storage.path={name}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--cluster.listen-address=",
            "--log.level=error",
        ]
        with running_program(command, port, environment=environment) as process:
            yield process


def alert_body(job: str, agent: str) -> bytes:
    """Return the body of a POST to /api/v2/alerts about a job that failed."""
    labels = {"alertname": job, "instance": agent, "severity": "error"}
    return json.dumps([{"labels": labels, "annotations": {"summary": "disk full"}}]).encode()
