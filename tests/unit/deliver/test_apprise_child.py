"""What the process that sends by Apprise may do."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

_TRY = """
import json, sys
from app.deliver.transports.apprise_child import guard_process
guard_process(allow_private=True)
import wave  # modules are still read
allowed = []
for path, mode in json.load(sys.stdin):
    try:
        open(path, mode).close()
        allowed.append(path)
    except PermissionError:
        pass
print(json.dumps(allowed))
"""


@pytest.mark.parametrize("mode", ["r", "w", "a", "r+"])
def test_it_opens_no_file_that_a_url_names(tmp_path: Path, mode: str):
    secret, link = tmp_path / "secret.json", tmp_path / "link.json"
    secret.write_text("{}")
    link.symlink_to(secret)
    tried = [(str(secret), mode), (str(link), mode), (f"/usr/share/zoneinfo/../../..{secret}", mode)]
    tried.append(("/proc/self/environ", "r"))
    command = [sys.executable, "-c", _TRY]
    done = subprocess.run(command, input=json.dumps(tried), capture_output=True, text=True, timeout=60, check=True)
    assert json.loads(done.stdout) == []
