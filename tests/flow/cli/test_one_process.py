"""The embedded database is served by one process at a time; the second one reports what to do."""

import subprocess
import sys
from pathlib import Path

import pytest

from app.core.errors import Conflict
from app.core.settings import load_settings
from app.store.engine import only_process

HOLD = "import sys\nfrom pathlib import Path\nfrom app.core.settings import load_settings\nfrom app.store.engine import only_process\n"
HOLD += "with only_process(load_settings(var_dir=Path(sys.argv[1]))):\n    print('held', flush=True)\n    sys.stdin.read()\n"


def test_a_second_process_is_refused_until_the_first_has_ended(tmp_path: Path):
    settings = load_settings(var_dir=tmp_path)
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, tmp_path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[3],
    )
    assert holder.stdin
    assert holder.stdout
    with holder:
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(Conflict, match=f"process {holder.pid}") as refused, only_process(settings):
            pass
        assert refused.value.code == "already_running"
        holder.kill()  # even one that could not clean up leaves no lock behind
    with only_process(settings):
        assert (tmp_path / "tocsin.lock").stat().st_mode & 0o777 == 0o600
    with only_process(settings):
        pass


def test_postgresql_may_be_shared(tmp_path: Path):
    settings = load_settings(var_dir=tmp_path, database_url="postgresql://a@b/c")
    with only_process(settings), only_process(settings):
        assert not (tmp_path / "tocsin.lock").exists()
