"""Decides which tests a run leaves out, and says at its end how many, why, and how to get them.

Without `--all` a run leaves out the tests marked `slow`, those that need a program that this machine lacks (`needs`), and of a
test with many cases those on PostgreSQL beyond the first two: all of its cases run on SQLite, and what they decide is the same.
With `--all` it leaves out none: a test whose program is missing fails and names it.
"""

import functools
import os
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import pytest

from tests.support.sources import ROOT

CASES_ON_POSTGRES = 2  # of one test, in a run without `--all`
TOOLS_VENV = ROOT / ".venv-tools/bin"
# Programs whose Debian package has another name.
PACKAGES = {
    "promtool": "prometheus",
    "smilint": "smitools",
    "nagios4": "nagios4-core",
    "icinga2": "icinga2-bin",
    "borg": "borgbackup",
    "setpriv": "util-linux",
    "wine": "wine wine64",
    "x86_64-w64-mingw32-gcc": "gcc-mingw-w64-x86-64-win32",
}


def find(program: str) -> str | None:
    """Return the path of a program. `tools:NAME` is one of .venv-tools, `root:mount` a mount that is permitted."""
    where, _, name = program.rpartition(":")
    if where == "root":
        return shutil.which(name) if _may_mount() else None
    return shutil.which(name, path=str(TOOLS_VENV) if where == "tools" else None)


@functools.cache
def _may_mount() -> bool:
    trial = ["unshare", "--mount", "mount", "-t", "tmpfs", "none", "/mnt"]
    return os.geteuid() == 0 and subprocess.run(trial, capture_output=True, check=False).returncode == 0


def lacking(item: pytest.Item) -> tuple[str, ...]:
    """Return the programs that a test needs and this machine lacks."""
    needed = {program for mark in item.iter_markers("needs") for program in mark.args}
    return tuple(sorted(program for program in needed if find(program) is None))


def how_to_get(programs: Iterable[str]) -> str:
    """Return the commands that install these programs."""
    of_system = {program.rpartition("/")[2] for program in programs if ":" not in program}
    packages = sorted({PACKAGES.get(program, program) for program in of_system})
    commands = [f"apt-get install {' '.join(packages)}"] if packages else []
    if any(program.startswith("tools:") for program in programs):
        commands.append("make .venv-tools/.tools")
    if "root:mount" in programs:
        commands.append("run the tests as a root user who may mount")
    return ", ".join(commands)


@dataclass(slots=True)
class LeftOut:
    """How many tests a run leaves out: those that take long, further cases on PostgreSQL, and those whose programs are missing."""

    slow: int = 0
    further: int = 0
    lacking: Counter[tuple[str, ...]] = field(default_factory=Counter)

    def lines(self) -> Iterator[str]:
        """Return the last lines of a run."""
        if self.slow:
            yield f"LEFT OUT: {self.slow} tests that take long. `make test-all` runs them."
        if self.further:
            yield f"LEFT OUT: {self.further} further cases on PostgreSQL of tests that ran on it. `make test-all` runs them."
        if self.lacking:
            programs = {program for key in self.lacking for program in key}
            names = sorted(program.rpartition(":")[2] for program in programs)
            yield f"LEFT OUT: {self.lacking.total()} tests that need {', '.join(names)}. To get them: {how_to_get(programs)}"

    def packed(self) -> list[object]:
        """Return it as plain values, which a worker of pytest-xdist can send."""
        return [self.slow, self.further, [[list(key), count] for key, count in self.lacking.items()]]

    @classmethod
    def unpacked(cls, packed: list) -> "LeftOut":
        """Read what `packed` returned."""
        slow, further, missing = packed
        return cls(slow, further, Counter({tuple(key): count for key, count in missing}))


def select(items: list[pytest.Item], *, run_slow: bool) -> tuple[list[pytest.Item], list[pytest.Item], LeftOut]:
    """Return the tests to run, those to leave out, and the account of these."""
    kept, out, account = [], [], LeftOut()
    on_postgres: Counter[str] = Counter()
    for item in items:
        test = item.nodeid.partition("[")[0]
        if not run_slow and item.get_closest_marker("slow"):
            account.slow += 1
            out.append(item)
        elif not run_slow and item.get_closest_marker("postgres") and on_postgres[test] == CASES_ON_POSTGRES:
            account.further += 1
            out.append(item)
        elif missing := lacking(item):
            account.lacking[missing] += 1
            out.append(item)
        else:
            kept.append(item)
            on_postgres[test] += item.get_closest_marker("postgres") is not None
    return kept, out, account
