"""Decide what an exit code means, by each tool's own documentation. Pure."""

from __future__ import annotations

from dataclasses import dataclass

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
    # borg, "Return codes": 1 generic, 100-127 specific warnings; 2-99 are errors
    "borg": {1, *range(100, 128)},
    # robocopy's bits: 1 copied, 2 extra files, 4 mismatches; from 8 on something failed
    "robocopy": {4, 5, 6, 7},
}
_SUCCESSES = {"robocopy": {0, 1, 2, 3}, "rclone": {0, 9}}  # rclone 9: nothing to transfer (--error-on-no-transfer)
_MEANINGS = {
    ("restic", 10): "the repository does not exist",
    ("restic", 11): "the repository is locked",
    ("restic", 12): "wrong password",
}


@dataclass(frozen=True)
class JudgedOutcome:
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
    reason = reading.reason or _MEANINGS.get((tool.name, exit_code), "")
    if tool.is_wrapped and exit_code == _TIMEOUTS:
        reason = "its time limit was reached"
    return JudgedOutcome(outcome, f"{tool.title}: exit code {exit_code}" + (f": {reason}" if reason else ""))
