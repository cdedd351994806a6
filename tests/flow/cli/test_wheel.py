"""The wheel, installed on its own: it holds migrations, templates and the programs, and serves in an empty folder."""

import io
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import httpx
import pytest

from tests.support.ports import lasting_port
from tests.support.processes import kill_family
from tests.support.running import LOG, address_of, environment, wait_until
from tests.support.sources import ROOT

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    source = folder / "source"  # a copy, so that the build leaves nothing in the checkout
    listed = subprocess.run(["git", "-C", ROOT, "ls-files", "-z"], check=True, capture_output=True, text=True).stdout
    for name in listed.split("\0"):
        if name.startswith(("app/", "programs/", "migrations/", "pyproject", "setup.py", "README", "LICENSE")):
            target = source / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes((ROOT / name).read_bytes())
    subprocess.run([*command, "--wheel-dir", folder, source], check=True)
    [built] = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the `bin` folder of an environment with the wheel and the libraries of this one."""
    folder = tmp_path_factory.mktemp("installed")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    site = next((folder / "lib").glob("python*/site-packages"))
    (site / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    command = [sys.executable, "-m", "pip", "--python", folder / "bin" / "python", "install", "--quiet", "--no-deps"]
    subprocess.run([*command, "--no-index", wheel], check=True)
    return folder / "bin"


def test_it_holds_the_programs_for_other_hosts(wheel: Path):
    with zipfile.ZipFile(wheel) as packed:
        for name in ("tocsin-relay.pyz", "tocsin-report.pyz"):
            with zipfile.ZipFile(io.BytesIO(packed.read(f"programs/{name}"))) as program:
                assert "__main__.py" in program.namelist()


def test_it_serves_in_an_empty_folder(installed: Path, tmp_path: Path):
    folder = tmp_path / "empty"
    folder.mkdir()
    settings = {name: value for name, value in environment(port=str(lasting_port())).items() if name != "PYTHONPATH"}
    with (folder / LOG).open("wb") as out:
        process = subprocess.Popen([installed / "tocsin", "serve"], cwd=folder, env=settings, stdout=out, stderr=out)
    try:
        url = address_of(process, folder / LOG)
        wait_until("the worker", lambda: httpx.get(f"{url}/readyz").status_code == 200)
        assert httpx.get(f"{url}/downloads/tocsin-report.pyz").content.startswith(b"#!/usr/bin/env python3")
    finally:
        kill_family(process)
    shown = subprocess.run(
        [installed / "python", "-c", "import app, migrations; print(app.__file__)"],
        check=True,
        capture_output=True,
        text=True,
        cwd=folder,
        env=settings,
    ).stdout
    assert str(ROOT) not in shown
