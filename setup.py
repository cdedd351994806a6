"""Adds the two programs for other hosts, each packed into one file, to the wheel; the rest is in pyproject.toml."""

import sys
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent


class BuildWithPrograms(build_py):
    """Build the packages, then write tocsin-relay.pyz and tocsin-report.pyz next to the programs' sources."""

    def run(self) -> None:
        """Build."""
        super().run()
        if self.editable_mode:
            return
        sys.path.insert(0, str(ROOT))
        from app.core.pyz import PROGRAMS, write  # noqa: PLC0415  (importable only from here on)

        for name in PROGRAMS.values():
            write(name, Path(self.build_lib) / "programs")


setup(cmdclass={"build_py": BuildWithPrograms})
