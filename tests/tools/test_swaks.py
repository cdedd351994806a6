"""swaks, a real mail program, reports to the real service."""

import subprocess
from pathlib import Path

import pytest

from tests.support.ports import lasting_port
from tests.support.running import serving, wait_until


@pytest.mark.needs("swaks")
def test_a_mail_by_swaks_opens_an_alert(tmp_path: Path):
    port = lasting_port()
    with serving(tmp_path / "var", TOCSIN_MAIL_IN_PORT=str(port)) as running:
        to = f"{running.enrol_key}@tocsin.example"
        words = ["--server", f"127.0.0.1:{port}", "--from", "veeam@example.org", "--to", to]
        message = ["--header", "Subject: [Failed] VM-Nightly (2 objects)", "--body", "Error: repository is full"]
        sent = subprocess.run(["swaks", *words, *message], capture_output=True, text=True, timeout=60, check=False)
        assert sent.returncode == 0, sent.stdout
        (alert,) = wait_until("the alert", lambda: running.ask("/v1/alerts", state="open")["items"])
        assert alert["kind"] == "failed"
        assert running.ask("/v1/jobs")["items"][0]["name"] == "VM-Nightly"
