"""The programs of others that we are measured against, from Debian's packages: what is installed, or else what apt can install here."""

import os
import shutil
import subprocess
from pathlib import Path

_FOLDER = Path(__file__).parents[1] / "build" / "bench-peers"
_QUIET = {
    "DEBIAN_FRONTEND": "noninteractive",
    "RUNLEVEL": "1",
}  # at this run level a package does not start its service


class PeerMissing(RuntimeError):
    """A peer is not installed and could not be had; the text names its package."""


def find_alertmanager() -> tuple[str, dict[str, str]]:
    """Return the path of Alertmanager and the environment in which it runs; as root, install it first if needed. Raises PeerMissing.

    Debian's program reads its template from /usr/share, so it must be installed.
    """
    package = "prometheus-alertmanager"
    if shutil.which(package) is None and os.geteuid() == 0:
        _apt(["apt-get", "install", "-y", "-qq", "--no-install-recommends", package])
    return _found(shutil.which(package), package), dict(os.environ)


def find_smtp_source() -> tuple[str, dict[str, str]]:
    """Return the path of Postfix's smtp-source and the environment in which it runs. Raises PeerMissing.

    Postfix is unpacked below build/bench-peers and not installed: as a package it would replace this machine's `sendmail`.
    """
    installed = shutil.which("smtp-source", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if installed is not None:
        return installed, dict(os.environ)
    program = _FOLDER / "usr/sbin/smtp-source"
    if not program.exists():
        _FOLDER.mkdir(parents=True, exist_ok=True)
        _apt(["apt-get", "download", "-qq", "postfix"])
        for file in _FOLDER.glob("postfix_*.deb"):
            subprocess.run(["dpkg-deb", "-x", file, _FOLDER], check=True)
    path = _found(str(program) if program.exists() else None, "postfix")
    return path, {**os.environ, "LD_LIBRARY_PATH": str(_FOLDER / "usr/lib/postfix")}


def _apt(command: list[str]) -> None:
    """Run apt, after fetching its lists of packages if it fails without. That it failed is seen by what is missing then."""
    cwd = _FOLDER if _FOLDER.exists() else None
    for words in (command, ["apt-get", "update", "-qq"], command):
        try:
            done = subprocess.run(
                words, cwd=cwd, env=os.environ | _QUIET, capture_output=True, timeout=300, check=False
            )
        except (OSError, subprocess.TimeoutExpired):
            return
        if words is command and done.returncode == 0:
            return


def _found(path: str | None, package: str) -> str:
    if path is None:
        raise PeerMissing(f"a peer is missing and could not be fetched: install the Debian package {package}")
    return path
