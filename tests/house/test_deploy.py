"""Checks that the image, the compose file and the systemd units use commands and settings that exist."""

import re

import pytest

from app.cli.lazy_group import COMMANDS
from app.core.settings import _WITH_FILE, Settings
from tests.support.sources import ROOT

FILES = [
    "Dockerfile",
    "Makefile",
    "deploy/compose.yaml",
    "deploy/systemd/tocsin.service",
    "deploy/systemd/tocsin-worker.service",
]
COMMAND = re.compile(
    r'\[tocsin, ([a-z-]+)|"tocsin", "([a-z-]+)"|bin/tocsin ([a-z-]+)|\$\(BIN\)/tocsin ([a-z-]+)|app\.cli ([a-z-]+)'
)


@pytest.mark.parametrize("name", FILES)
def test_the_commands_exist(name: str):
    named = {next(filter(None, found)) for found in COMMAND.findall((ROOT / name).read_text(encoding="utf-8"))}
    assert named
    assert named <= set(COMMANDS)


@pytest.mark.parametrize("name", FILES)
def test_the_settings_exist(name: str):
    known = {f"TOCSIN_{setting.upper()}" for setting in Settings.model_fields} | {"TOCSIN_CONFIG"}
    known |= {f"TOCSIN_{setting.upper()}_FILE" for setting in _WITH_FILE}
    assert set(re.findall(r"\bTOCSIN_[A-Z_]+[A-Z]\b", (ROOT / name).read_text(encoding="utf-8"))) <= known


def test_the_image_installs_locked_versions_and_runs_without_root():
    lines = (ROOT / "Dockerfile").read_text(encoding="utf-8").splitlines()
    assert any("--require-hashes -r requirements.lock" in line for line in lines)
    assert [line for line in lines if line.startswith("USER ")] == ["USER tocsin"]
    assert any(line.startswith("HEALTHCHECK ") for line in lines)


@pytest.mark.parametrize("name", ["Dockerfile", "deploy/compose.yaml"])
def test_images_of_others_are_pinned_by_digest(name: str):
    text = (ROOT / name).read_text(encoding="utf-8")
    images = [image for image in re.findall(r"(?m)^(?:FROM|\s+image:) (\S+)", text) if not image.startswith("tocsin:")]
    assert images
    assert [image for image in images if not re.fullmatch(r"[a-z./]+:[\w.-]+@sha256:[0-9a-f]{64}", image)] == []
