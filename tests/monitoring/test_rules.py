"""The alert rules that we ship: promtool accepts them, and they open and end as they should."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.sources import ROOT

pytestmark = pytest.mark.needs("promtool")


@pytest.mark.parametrize("words", [("check", "rules", "prometheus-rules.yaml"), ("test", "rules", "rules.yaml")])
def test_the_rules_do_what_their_cases_say(tmp_path: Path, words: tuple[str, ...]):
    shutil.copy(ROOT / "deploy/prometheus-rules.yaml", tmp_path)
    shutil.copy(ROOT / "tests/monitoring/rules.yaml", tmp_path)
    done = subprocess.run(["promtool", *words], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
