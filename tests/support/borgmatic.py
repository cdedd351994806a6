"""Runs real borgmatic, of Debian and of PyPI, over a small tree of files. It knows nothing of what it reports to."""

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.support.sources import ROOT

PYPI = ROOT / ".venv-tools/bin"
DEBIAN = "/usr/bin/borgmatic"
PATIENCE_S = 120
# For root every file can be read; without these two rights its permissions count.
WITHOUT_RIGHTS = [
    "setpriv",
    "--inh-caps=-dac_override,-dac_read_search",
    "--bounding-set=-dac_override,-dac_read_search",
]


def program(source: str) -> Path:
    """Return the path of the program `debian` or `pypi`."""
    return PYPI / "borgmatic" if source == "pypi" else Path(DEBIAN)


@dataclass(frozen=True, slots=True)
class Backup:
    """A tree of files, a repository and a borgmatic in a folder of their own."""

    folder: Path
    borgmatic: Path

    @property
    def source(self) -> Path:
        """The tree that is backed up."""
        return self.folder / "source"

    def prepare(self) -> None:
        """Make the tree and the repository."""
        (self.source / "db").mkdir(parents=True)
        (self.source / "db/dump.sql").write_bytes(os.urandom(100_000))
        (self.source / "Фото ☃.txt").write_text("привет", encoding="utf-8")
        subprocess.run(["borg", "init", "-e", "none", self.folder / "repo"], env=self._environment(), check=True)

    def run(self, hooks: Mapping[str, object], *actions: str, repo: str = "repo", rights: bool = True) -> int:
        """Run it with these hooks, and return its exit code."""
        config = self.folder / "config.yaml"
        places = {"source_directories": [str(self.source)]}
        if self._is_old():
            settings: dict = {"location": {**places, "repositories": [str(self.folder / repo)]}, "hooks": dict(hooks)}
        else:
            settings = {**places, "repositories": [{"path": str(self.folder / repo)}], **hooks}
        config.write_text(json.dumps(settings), encoding="utf-8")  # JSON is YAML
        config.chmod(0o600)
        prefix: Sequence[str] = [] if rights or os.geteuid() else WITHOUT_RIGHTS
        command = [*prefix, str(self.borgmatic), "-c", str(config), "--syslog-verbosity", "-1", *actions]
        if self._is_old():
            command = [*prefix, str(self.borgmatic), "-c", str(config), *actions]
        done = subprocess.run(
            command, env=self._environment(), capture_output=True, text=True, timeout=PATIENCE_S, check=False
        )
        (self.folder / "last.log").write_text(done.stdout + done.stderr, encoding="utf-8")
        return done.returncode

    def _is_old(self) -> bool:
        return self.borgmatic.parent != PYPI

    def _environment(self) -> dict[str, str]:
        return {
            **{name: value for name, value in os.environ.items() if not name.startswith(("TOCSIN_", "PYTHON"))},
            "HOME": str(self.folder),
            "XDG_RUNTIME_DIR": str(self.folder),
            "BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK": "yes",
            "BORG_RELOCATED_REPO_ACCESS_IS_OK": "yes",
            "LANG": "C.UTF-8",
        }
