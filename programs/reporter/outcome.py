"""Decide what an exit code means, by each tool's own documentation. Pure."""

from __future__ import annotations

import re
from typing import NamedTuple

from programs.protocol.report import CANCELLED, FAILURE, SUCCESS, WARNING
from programs.reporter.command import CommandEnd
from programs.reporter.readings.reading import OutputReading
from programs.reporter.tools import BackupTool

NOT_RUNNABLE, NOT_FOUND = 126, 127  # the exit codes of a shell
_TIMEOUTS = 124  # coreutils' timeout: the time ran out
_WRAPPERS_OWN = range(124, 128)  # timeout, env, nice ... and sudo's shell report their own failure so

_WARNINGS = {
    # https://restic.readthedocs.io/en/stable/075_scripting.html#exit-codes: 3 some source data could not be read
    "restic": {3},
    # rsync(1): 24 files vanished while it ran. 23 is not one: it also comes when the whole source is missing.
    "rsync": {24},
    # borg, "Return codes": 1 generic, 100-107 specific warnings. From 108 on none is defined, and 126 and 127 are a shell's: it never ran.
    "borg": {1, *range(100, 108)},
    # robocopy's bits: 1 copied, 2 extra files, 4 mismatches; from 8 on something failed
    "robocopy": {4, 5, 6, 7},
}
# GNU tar's exit code 1 means that files changed while they were read; for bsdtar it is any error, and these words are not its.
_TAR_CHANGED = re.compile(r": (?:file changed as we read it|File removed before we read it|File shrank by )")
_SUCCESSES = {"robocopy": {0, 1, 2, 3}, "rclone": {0, 9}}  # rclone 9: nothing to transfer (--error-on-no-transfer)
_MEANINGS = {
    ("restic", 10): "the repository does not exist",
    ("restic", 11): "the repository is locked",
    ("restic", 12): "wrong password",
}
_SHELL_MEANINGS = {NOT_RUNNABLE: "the command could not be run", NOT_FOUND: "the command was not found"}


class JudgedOutcome(NamedTuple):
    """An outcome, and its reason for people."""

    outcome: str
    message: str


def judge(tool: BackupTool, ended: CommandEnd, reading: OutputReading) -> JudgedOutcome:
    """Decide by exit code or signal, and by the output where the code does not tell.

    Only a run that a person stopped is cancelled, and sends no alert. Time limits and shutdowns send signals, too: those backups failed.
    """
    exit_code = ended.exit_code
    has_not_run = tool.is_wrapped and reading.reason.startswith("sudo: ")  # its exit code 1 is not borg's
    if ended.signal or has_not_run or (tool.is_wrapped and exit_code in _WRAPPERS_OWN):
        outcome = FAILURE
    elif exit_code in _SUCCESSES.get(tool.name, {0}):
        outcome = SUCCESS
    elif tool.name == "tar" and exit_code == 1 and _TAR_CHANGED.search(reading.reason):
        outcome = WARNING
    else:
        outcome = WARNING if exit_code in _WARNINGS.get(tool.name, ()) else FAILURE
    if outcome != SUCCESS and ended.is_interrupted:
        return JudgedOutcome(CANCELLED, f"{tool.title}: interrupted at the terminal")
    if ended.signal:
        return JudgedOutcome(FAILURE, f"{tool.title}: ended by signal {ended.signal}")
    if outcome == SUCCESS and reading.errors:
        many = f"{reading.errors} error{'s' * (reading.errors > 1)}"
        return JudgedOutcome(
            WARNING, f"{tool.title}: exit code {exit_code}, but {many} in its output: {reading.reason}"
        )
    if outcome == SUCCESS:
        return JudgedOutcome(SUCCESS, reading.note or f"{tool.title}: exit code {exit_code}")
    reason = reading.reason or _MEANINGS.get((tool.name, exit_code)) or _SHELL_MEANINGS.get(exit_code, "")
    if tool.is_wrapped and exit_code == _TIMEOUTS:
        reason = "its time limit was reached"
    return JudgedOutcome(outcome, f"{tool.title}: exit code {exit_code}" + (f": {reason}" if reason else ""))
