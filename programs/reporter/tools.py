"""Find which backup tool a command runs, and what it does with it, by its words alone.

It runs nothing and keeps no argument, as arguments may be secrets.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

# Words that are followed by another command: that one is judged.
WRAPPERS = {
    "sudo", "doas", "nice", "ionice", "chrt", "taskset", "env", "timeout", "nohup", "setsid", "stdbuf", "time", "flock", "setpriv",
    "caffeinate", "systemd-inhibit", "runuser", "chpst", "unshare", "busybox",
}  # fmt: skip
INTERPRETERS = re.compile(r"python[0-9.]*w?|sh|bash|perl")
# What a tool does, by the first of its words that is listed here; without one it makes backups.
_DOES = {
    "restic": {"backup": "backup", "forget": "prune", "prune": "prune", "check": "verify", "restore": "restore", "copy": "replicate"},
    "borg": {"create": "backup", "prune": "prune", "compact": "prune", "delete": "prune", "check": "verify", "extract": "restore"},
    "rclone": {"sync": "backup", "copy": "backup", "move": "backup", "bisync": "replicate", "check": "verify", "cryptcheck": "verify"},
    "rsync": {},
    "robocopy": {},
    "tar": {},
}  # fmt: skip


class BackupTool(NamedTuple):
    """A tool as it is called: `name` empty if it is not one that we know, `does` the word for what it does."""

    program: str
    name: str = ""
    does: str = ""
    activity: str = "backup"
    is_wrapped: bool = False

    @property
    def title(self) -> str:
        """Its name for people; also the default name of the job."""
        return f"{self.name or self.program} {self.does}".strip()


def tool_of(command: Sequence[str]) -> BackupTool:
    """Return the tool in a command's words."""
    first = _base(command[0])
    for place, word in enumerate(command):
        name = _base(word).lower()
        if name in _DOES:
            known = _DOES[name]
            does = next((later for later in command[place + 1 :] if later in known), "")
            return BackupTool(first, name, does, known.get(does, "backup"), is_wrapped=place > 0)
        if place == 0 and name not in WRAPPERS and not INTERPRETERS.fullmatch(name):
            break
    if INTERPRETERS.fullmatch(first) and len(command) > 1 and not command[1].startswith("-"):
        return BackupTool(
            _base(command[1])
        )  # the script; with an option such as -c the program itself is on the command line
    return BackupTool(first)


def _base(word: str) -> str:
    name = re.split(r"[/\\]", word)[-1] or word
    return name[:-4] if name.lower().endswith((".exe", ".cmd", ".bat")) and len(name) > 4 else name  # noqa: PLR2004
