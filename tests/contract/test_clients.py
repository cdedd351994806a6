"""Client generators accept the published schema, and the Python client that one of them makes drives the main routes.

The programs come from two lock files: requirements-tools.lock (.venv-tools) and tests/contract/node/package-lock.json.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.running import Running, serving
from tests.support.sources import ROOT

SCHEMA = ROOT / "openapi" / "openapi.json"
NODE = Path(__file__).parent / "node"
TOOLS = ROOT / ".venv-tools" / "bin"


@pytest.fixture(scope="module")
def programs() -> Path:
    """Return the folder of the programs from npm, installed by their lock file."""
    installed = NODE / "node_modules" / ".package-lock.json"
    if not installed.exists() or installed.stat().st_mtime < (NODE / "package-lock.json").stat().st_mtime:
        _run(["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"], cwd=NODE)
    return NODE / "node_modules" / ".bin"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with serving(tmp_path_factory.mktemp("clients")) as running:
        yield running


@pytest.mark.slow
@pytest.mark.needs("npm")
def test_spectral_finds_nothing(programs: Path):
    _run([programs / "spectral", "lint", SCHEMA, "--ruleset", NODE / ".spectral.yaml", "--fail-severity", "hint"])


@pytest.mark.slow
@pytest.mark.needs("npm")
def test_openapi_typescript_makes_types_that_compile(programs: Path, tmp_path: Path):
    types = tmp_path / "tocsin.d.ts"
    _run([programs / "openapi-typescript", SCHEMA, "--output", types])
    _run([programs / "tsc", "--noEmit", "--strict", types])


@pytest.mark.slow
@pytest.mark.needs("tools:openapi-python-client")
def test_the_generated_python_client_drives_the_main_routes(server: Running, tmp_path: Path):
    package = tmp_path / "client"
    config = Path(__file__).parent / "client.yaml"
    command = [TOOLS / "openapi-python-client", "generate", "--path", SCHEMA, "--config", config, "--meta", "none"]
    path = {
        **os.environ,
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
    }  # it calls ruff
    _run([*command, "--output-path", package / "tocsin_client", "--fail-on-warning"], env=path)
    _run(
        [TOOLS / "python", Path(__file__).parent / "drive_client.py"],
        env={
            **os.environ,
            "PYTHONPATH": str(package),
            "BASE_URL": server.url,
            "ADMIN_KEY": server.admin_key,
            "ENROL_KEY": server.enrol_key,
        },
    )


def _run(command: list[str | Path], *, cwd: Path | None = None, env: dict[str, str] | None = None) -> None:
    ran = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=300, check=False)
    assert ran.returncode == 0, ran.stdout[-5000:] + ran.stderr[-5000:]
