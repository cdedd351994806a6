"""Runs a real snmptrapd that writes one line for each notification that it accepts."""

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.ports import lasting_port
from tests.support.running import wait_until

USER, AUTH, PRIV, COMMUNITY = "backup", "an-auth-password", "a-priv-password", "a-community"


@dataclass(frozen=True, slots=True)
class Snmptrapd:
    """Its port, and the file with its lines."""

    port: int
    file: Path

    def lines(self) -> list[str]:
        """Return one line for each notification."""
        text = self.file.read_text(encoding="utf-8", errors="replace") if self.file.exists() else ""
        return [line for line in text.splitlines() if line.startswith("NOTIFICATION ")]


@contextmanager
def snmptrapd(
    folder: Path, *, engine_id: str | None = None, mibs: Sequence[Path] = (), port: int | None = None
) -> Iterator[Snmptrapd]:
    """Run it in the foreground until the block ends.

    `engine_id`: of the sender of traps of version 3, with `0x`. `mibs`: folders; with them it writes the names of our MIB, else numbers.
    """
    folder.mkdir(parents=True, exist_ok=True)
    it = Snmptrapd(port or lasting_port(), folder / "lines")
    engine = f"-e {engine_id} " if engine_id else ""
    config = folder / "snmptrapd.conf"
    config.write_text(
        f"disableAuthorization no\nauthCommunity log {COMMUNITY}\nauthUser log {USER} priv\n"
        f"createUser {engine}{USER} SHA-256 {AUTH} AES {PRIV}\n"
        "format2 NOTIFICATION %v\\n\n",
    )
    command = [
        "snmptrapd",
        "-f",
        *(("-M", ":".join(map(str, mibs)), "-m", "TOCSIN-MIB") if mibs else ("-On", "-m", "")),
        "-C",
        "-c",
        str(config),
        "-Lf",
        str(it.file),
        f"udp:127.0.0.1:{it.port}",
    ]
    process = subprocess.Popen(
        command, env={"SNMP_PERSISTENT_DIR": str(folder), "PATH": "/usr/sbin:/usr/bin"}, stderr=subprocess.DEVNULL
    )
    try:
        wait_until("snmptrapd", lambda: it.file.exists() and "NET-SNMP version" in it.file.read_text())
        yield it
    finally:
        process.kill()
        process.wait()
