"""How long it takes until a monitoring program shows a failure and its end. Tests write it down; docs/monitoring_table.py makes the README's table of it."""

import json
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.support.sources import ROOT

FOLDER = ROOT / "build/monitoring"  # a file for each row of the table: several processes may write at the same time


def version_of(program: str, option: str = "--version") -> str:
    """Return the version that a program shows, also one in /usr/sbin that is not on the path."""
    found = shutil.which(program) or f"/usr/sbin/{program}"
    ran = subprocess.run([found, option], capture_output=True, text=True, timeout=60, check=False)
    shown = re.search(r"\d+(\.\d+)+", ran.stdout + ran.stderr)
    assert shown is not None, ran
    return shown[0]


@dataclass(slots=True)
class Measured:
    """One row of the table. `tested_with` names the real program and its version, or what the tests have in its place."""

    row: str
    tested_with: str
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def failure(self) -> Iterator[None]:
        """Measure from the report of a failure to its state in the program: the block must do both."""
        with self._timed("failure"):
            yield

    @contextmanager
    def recovery(self) -> Iterator[None]:
        """Measure from the report of a success to the recovery in the program: the block must do both."""
        with self._timed("recovery"):
            yield

    @contextmanager
    def _timed(self, name: str) -> Iterator[None]:
        begun = time.monotonic()
        yield
        self.seconds[name] = round(time.monotonic() - begun, 1)
        self.write()

    def write(self) -> None:
        """Write it down."""
        FOLDER.mkdir(parents=True, exist_ok=True)
        values = {"tested_with": self.tested_with, **self.seconds}
        (FOLDER / f"{self.row}.json").write_text(json.dumps(values), encoding="utf-8")
