"""Checks that the project's files fit every machine: no path of one machine, no address of a package registry, no secret."""

import re
from functools import cache

import pytest

from tests.support.sources import ROOT, project_files

# A folder of a developer's or a build's machine. Folders of the service on a host (/opt/tocsin, /etc/tocsin) do not count.
MACHINE = re.compile(r"(?<![\w.$}~*-])/(?:work|root|home|Users|builds|workspace)/[\w.]")
SCRATCH = re.compile(r"(?<![\w.$}~*-])/(?:tmp|var/tmp)/[\w.]")
REGISTRY = re.compile(
    r"(?i)https?://[^\s'\"]*(?:pypi\.org|pythonhosted\.org|artifactory|nexus|jfrog|/simple\b|codeartifact)"
    r"|(?:--|PIP_|UV_)?(?:extra[-_])?index[-_]url\s*[=\s]\s*['\"]?https?:"
)
PRIVATE_KEY = re.compile("-----BEGIN [A-Z ]*PRIVATE " + "KEY-----")
RECORDED = "tests/corpus/requests/"  # output of programs on other machines
LABELLED = "tests/unit/intake/language/cases/"  # texts of other machines, whose paths must not decide
LOCKS = ("requirements.lock", "requirements-test.lock")


@cache
def _texts() -> list[tuple[str, str]]:
    texts = []
    for path in project_files():
        try:
            texts.append((str(path.relative_to(ROOT)), path.read_text(encoding="utf-8")))
        except UnicodeDecodeError:
            continue  # a picture
    return texts


@pytest.mark.parametrize(
    "pattern", [MACHINE, SCRATCH, REGISTRY, PRIVATE_KEY], ids=["machine", "scratch", "registry", "private key"]
)
def test_no_file_names_a_path_or_a_registry_of_one_machine(pattern: re.Pattern[str]):
    found = [
        f"{name}:{number}: {line.strip()[:120]}"
        for name, text in _texts()
        if not name.startswith(LABELLED) and (pattern is not SCRATCH or not name.startswith(RECORDED))
        for number, line in enumerate(text.splitlines(), start=1)
        if pattern.search(line)
    ]
    assert not found


@pytest.mark.parametrize("lock", [*LOCKS, "requirements-tools.lock"])
def test_locks_contain_hashes_and_no_address(lock: str):
    text = (ROOT / lock).read_text(encoding="utf-8")
    assert "://" not in text
    pinned = re.findall(r"^[A-Za-z0-9][\w.-]*(?:\[[^\]]*\])?==", text, flags=re.MULTILINE)
    unhashed = [
        line
        for line in re.split(r"\n(?=[A-Za-z0-9])", text)
        if re.match(r"[A-Za-z0-9]", line) and "--hash=sha256:" not in line
    ]
    assert pinned
    assert not unhashed


def test_the_test_lock_contains_the_runtime_lock():
    """Both share one .venv: tests must run with the versions that are shipped."""
    runtime, test = (
        set(re.findall(r"^\S+==\S+", (ROOT / lock).read_text(encoding="utf-8"), flags=re.MULTILINE)) for lock in LOCKS
    )
    assert runtime <= test


def test_nothing_outside_the_checkout_is_used():
    """The folders next to the checkout hold papers and recordings to read: nothing of the project may depend on them."""
    found = [name for name, text in _texts() if re.search(r"\.\./" + "shared", text)]
    assert not found
