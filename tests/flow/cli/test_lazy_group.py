"""The list of commands: complete, true, and shown without loading the service."""

import subprocess
import sys
from pathlib import Path

import pytest

from app.cli.lazy_group import COMMANDS, load_command
from tests.support.cli import tocsin


@pytest.mark.parametrize("name", COMMANDS)
def test_the_line_of_a_command_is_its_own_help(name: str):
    assert " ".join((load_command(name).help or "").split("\n\n")[0].split()) == COMMANDS[name].help


def test_the_help_names_every_command_and_loads_no_library_of_the_service(tmp_path: Path):
    """Cron jobs and scripts start `tocsin` often: the libraries of the database and the web alone take more than a second."""
    shown = tocsin(tmp_path, "--help")
    assert shown.returncode == 0, shown.stderr
    assert [name for name in COMMANDS if f" {name} " not in shown.stdout] == []
    script = "import sys, app.cli; print([name for name in ('sqlalchemy', 'pydantic', 'fastapi', 'httpx') if name in sys.modules])"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert loaded.stdout.strip() == "[]"


def test_an_unknown_command_is_refused_with_the_nearest_one(tmp_path: Path):
    refused = tocsin(tmp_path, "docter")
    assert refused.returncode == 2
    assert "doctor" in refused.stderr
