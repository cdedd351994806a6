"""restic's output, with `--json` or without, as a script posts it: standard output, standard error, both, or only the summary.

Source: https://restic.readthedocs.io/en/stable/075_scripting.html. Standard output is the same whether all files were read or not;
only errors and the exit code tell the difference. The worst report counts.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from app.intake.dialects.body_fields import as_text
from app.intake.dialects.make_event import make_event
from app.intake.dialects.script_output import (
    describe_exit_code,
    identify_run,
    make_post_key,
    parse_exit_code,
    split_output,
)
from app.intake.dialects.tool_request import NotUnderstood, ToolRequest
from app.intake.dialects.values import parse_bytes, parse_non_negative, parse_number, parse_time
from app.intake.language.log_errors import find_log_errors
from app.intake.parse import WireEvent

TOOL = "restic"
_PROGRESS = ('{"message_type":"status"', '{"message_type":"verbose_status"')
_PARTIAL_EXIT_CODE = 3
_EXIT_CODES = {
    _PARTIAL_EXIT_CODE: "some files could not be read",
    10: "the repository does not exist",
    11: "the repository is locked",
    12: "the password is wrong",
    130: "it was interrupted",
}
_FATAL = re.compile(
    r"Fatal: |^unable to create lock|^signal \w{1,20} received|^(?:unknown|invalid|ambiguous) (?:flag|command)"
)
_SKIPPED_SOURCE = re.compile(r".{1,4000} does not exist, skipping$")
_OTHER_ACTIVITIES = (
    ("verify", re.compile(r"^(?:check all packs|check snapshots, trees and blobs|no errors were found)")),
    ("prune", re.compile(r"^(?:total prune:|to delete:|repacking packs|keep \d{1,9} snapshots:)")),
    ("restore", re.compile(r"^restoring <?[Ss]napshot ")),
    ("admin", re.compile(r"^created restic repository ")),
)
# What restic prints without `--json` instead of the summary.
_PLAIN_SUMMARY = re.compile(
    r"processed (?P<files>\d{1,12}) files, (?P<bytes>[\d.]{1,20} \w{1,5}) in (?:(?P<h>\d{1,5}):)?(?P<m>\d{1,5}):(?P<s>\d\d)$"
    r"|Added to the repo(?:sitory)?: (?P<added>[\d.]{1,20} \w{1,5})(?: {1,9}\((?P<stored>[\d.]{1,20} \w{1,5}) stored\))?$"
)
_RETRY = re.compile(r" returned error, retrying after ")
_SUCCESS_LINE = re.compile(r"^(?:no errors were found|snapshot [0-9a-f]{8} saved)")
_MAX_ERRORS = 10_000
# Summed: a script may post the output of several calls.
_AMOUNTS = {
    "duration_s": ("total_duration",),
    "bytes_processed": ("total_bytes_processed", "bytes_restored"),
    "bytes_stored": ("data_added_packed", "data_added"),
    "files_processed": ("total_files_processed", "files_restored"),
}


@dataclass(slots=True)
class _ResticOutput:
    """What the output reports, collected line by line."""

    summaries: list[Mapping[str, Any]] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    unread: set[str] = field(default_factory=set)
    fatal: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    plain: list[str] = field(default_factory=list)
    log: list[str] = field(default_factory=list)
    exit_codes: list[int] = field(default_factory=list)
    activities: set[str] = field(default_factory=set)
    has_success_line: bool = False
    has_progress: bool = False


def read(request: ToolRequest) -> Sequence[WireEvent]:
    """Return the event of one post. Raises NotUnderstood if there is neither a result in the output nor an exit code."""
    output, code = _parse_output(request.text), parse_exit_code(request)
    if code is not None:
        output.exit_codes.append(code)
    outcome, message = _find_result(output)
    if request.is_cut and code is None and outcome == "success":
        outcome, message = "unclear", "the output broke off on its way, and the address names no exit code"
    if outcome is None:
        raise NotUnderstood("neither restic's summary nor an exit code")
    return [
        make_event(
            TOOL,
            **identify_run(request, TOOL, _find_activity(output)),
            phase="finished",
            outcome=outcome,
            at=next(
                (at for summary in reversed(output.summaries) if (at := parse_time(summary.get("backup_end")))), None
            ),
            message=message,
            log="\n".join(output.log) or None,
            metrics={
                **{name: _sum_amounts(output.summaries, names) for name, names in _AMOUNTS.items()},
                "files_failed": len(output.unread) or (0 if outcome == "success" and output.exit_codes else None),
                "exit_code": _worst_exit_code(output.exit_codes),
            },
            key=make_post_key(request) if any("snapshot_id" in summary for summary in output.summaries) else None,
        )
    ]


def _parse_output(text: str) -> _ResticOutput:
    output = _ResticOutput(has_progress=_PROGRESS[0] in text)
    for piece in split_output(text, _PROGRESS):
        value: Any = piece.value
        match value:
            case {"message_type": "summary"}:
                output.summaries.append(value)
                output.log.append(piece.text)
            case {"message_type": "error"}:
                _add_error(output, value)
            case {"message_type": "exit_error"}:
                message = (as_text(value.get("message")) or "").strip()
                code = parse_number(value.get("code"))
                output.exit_codes += [int(code)] if code is not None else []
                output.fatal += [message] if message and code != _PARTIAL_EXIT_CODE else []
                output.log.append(message)
                output.plain.append(message)
            case {"message_type": "initialized"}:
                output.activities.add("admin")
                output.has_success_line = True
            case [{"keep": _} | {"remove": _}, *_]:
                output.activities.add("prune")
                output.has_success_line = True
            case None:
                _add_line(output, piece.text)
            case _:  # lists and statistics: this command was not a backup
                output.activities.add("other")
                output.log.append(piece.text)
    return output


def _add_error(output: _ResticOutput, error: Mapping[str, Any]) -> None:
    """Add one error. Before restic 0.16 it has no message, because it is Go's own error; an error of `check` has no file."""
    inner = error.get("error")
    message = as_text(inner.get("message")) if isinstance(inner, dict) else None
    item = as_text(error.get("item"))
    line = (message or as_text(error.get("message")) or f"{item or 'a file'} could not be read").strip()
    if item:
        output.unread.add(item)
    if line not in output.errors[-2:] and len(output.errors) < _MAX_ERRORS:
        output.errors.append(line)
    output.log.append(f"error: {line}")


def _add_line(output: _ResticOutput, line: str) -> None:
    output.log.append(line)
    output.plain.append(line)
    if _FATAL.search(line[:500]):
        output.fatal.append(line)
    elif _SKIPPED_SOURCE.match(line):
        output.skipped.append(line)
    if (amounts := _PLAIN_SUMMARY.match(line)) is not None:
        output.summaries.append(_parse_plain_summary(amounts))
    output.activities |= {activity for activity, pattern in _OTHER_ACTIVITIES if pattern.match(line)}
    output.has_success_line = output.has_success_line or _SUCCESS_LINE.match(line) is not None
    output.has_progress = output.has_progress or _RETRY.search(line[:1000]) is not None


def _parse_plain_summary(line: re.Match[str]) -> Mapping[str, Any]:
    if line["files"]:
        seconds = int(line["h"] or 0) * 3600 + int(line["m"]) * 60 + int(line["s"])
        return {
            "total_files_processed": int(line["files"]),
            "total_bytes_processed": parse_bytes(line["bytes"]),
            "total_duration": seconds,
        }
    return {"data_added_packed": parse_bytes(line["stored"] or line["added"])}


def _find_result(output: _ResticOutput) -> tuple[str | None, str | None]:
    """Return the outcome and its reason; None for an output that reports no end."""
    code = _worst_exit_code(output.exit_codes)
    damaged = sum(parse_number(summary.get("num_errors")) or 0 for summary in output.summaries)
    if output.fatal or damaged or code not in (None, 0, _PARTIAL_EXIT_CODE):
        return "failure", _describe_failure(output, code)
    in_log = find_log_errors("\n".join(output.plain))
    errors = output.errors or output.skipped or ([in_log.line] if in_log else [])
    if code == _PARTIAL_EXIT_CODE or errors:
        count = len(output.unread) or len(output.skipped) or (in_log.count if in_log else 0)
        reason = errors[0] if errors else f"{_EXIT_CODES[_PARTIAL_EXIT_CODE]} (exit code {_PARTIAL_EXIT_CODE})"
        return "warning", f"{reason} ({count} such errors)" if count > 1 else reason
    if code == 0 or output.summaries or output.has_success_line:
        is_dry_run = any(summary.get("dry_run") is True for summary in output.summaries)
        return "success", "a dry run: nothing was saved" if is_dry_run else None
    if output.has_progress:
        return "failure", "the output ends before restic's summary: restic did not finish"
    return None, None


def _describe_failure(output: _ResticOutput, code: int | None) -> str:
    """Return why the run failed: the fatal message, for `check` with the first error; else the meaning of the exit code."""
    first = output.errors[:1]
    if output.fatal:
        fatal = output.fatal[-1].strip().partition("\n")[0].removeprefix("Fatal: ")
        return ": ".join([fatal, *(first if _find_activity(output) == "verify" else [])])
    meaning = _EXIT_CODES.get(code or 0) or describe_exit_code(code or 1)
    return ": ".join([meaning, *(first or output.plain[-1:])])


def _find_activity(output: _ResticOutput) -> str:
    """Return what was done. A dry run is not a backup: it must not end a series of failures."""
    for summary in output.summaries:
        if "num_errors" in summary:
            return "verify"
        if "files_restored" in summary:
            return "restore"
        return "other" if summary.get("dry_run") is True else "backup"
    known = (*(activity for activity, _ in _OTHER_ACTIVITIES), "other")
    return next((activity for activity in known if activity in output.activities), "backup")


def _worst_exit_code(codes: Sequence[int]) -> int | None:
    """Return the worst exit code: any other code, then the one for a partial backup, then 0."""
    if not codes:
        return None
    return max(codes, key=lambda code: (code not in (0, _PARTIAL_EXIT_CODE), code == _PARTIAL_EXIT_CODE))


def _sum_amounts(summaries: Sequence[Mapping[str, Any]], names: Sequence[str]) -> float | None:
    """Add up one amount over the summaries that have it, under the first of its names."""
    found = [
        next((value for name in names if (value := parse_non_negative(summary.get(name))) is not None), None)
        for summary in summaries
    ]
    amounts = [value for value in found if value is not None]
    return sum(amounts) if amounts else None
