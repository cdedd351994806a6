"""borg's output, with `--json`, `--log-json` or neither, as a script posts it: standard output, standard error or both.

Source: https://borgbackup.readthedocs.io/en/stable/internals/frontends.html. The archive's times have no zone, so they are not used.
Exit codes 1 and 100 to 107 are warnings, and 126 and 127 are a shell's: borg never ran. An archive in the output does not tell whether all files could be read.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
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
from app.intake.dialects.values import parse_non_negative, parse_unix_time
from app.intake.language.log_errors import find_log_errors
from app.intake.parse import WireEvent

TOOL = "borg"
_PROGRESS = ('{"type": "archive_progress"', '{"type": "progress_')
_PROGRESS_TYPES = ("archive_progress", "progress_message", "progress_percent")
_WARNING_EXIT_CODES = frozenset({1, *range(100, 108)})
_END_LINE = "terminating with "
_EXIT_CODE = re.compile(_END_LINE + r"(?:success|warning|error) status, rc (\d{1,5})")
_EXCEPTION = re.compile(r"^(\w[\w.]{0,100}(?:Error|Exception|Full|Timeout)\b.{0,500})$", re.MULTILINE)
_VERIFY_LINE = re.compile(
    r"(?:Finished|Starting) (?:full |partial )?repository check|[Cc]onsistency check|^Data integrity error"
)
_PRUNE_LINE = re.compile(r"^(?:Keeping|Pruning|Would prune|Deleting|Deleted) archive|^compaction freed")
_REMOTE_LINE = "Remote: "  # output of the server's login, such as its greeting
_AMOUNTS = {
    "bytes_processed": "original_size",
    "bytes_stored": "deduplicated_size",
    "files_processed": "nfiles",
}


@dataclass(slots=True)
class _BorgOutput:
    """What the output reports, collected line by line."""

    archives: list[Mapping[str, Any]] = field(default_factory=list)
    repository: str | None = None
    errors: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    unread: set[str] = field(default_factory=set)
    log: list[str] = field(default_factory=list)
    exit_codes: list[int] = field(default_factory=list)
    at: datetime | None = None
    activity: str = "backup"
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
        raise NotUnderstood("neither borg's archive nor an exit code")
    stats = [archive["stats"] for archive in output.archives if isinstance(archive.get("stats"), dict)]
    return [
        make_event(
            TOOL,
            **identify_run(request, TOOL, output.activity),
            phase="finished",
            outcome=outcome,
            at=output.at,
            message=message,
            log="\n".join(output.log) or None,
            metrics={
                "duration_s": _sum_amounts(output.archives, "duration"),
                **{metric: _sum_amounts(stats, name) for metric, name in _AMOUNTS.items()},
                "files_failed": len(output.unread) or (0 if outcome == "success" and output.exit_codes else None),
                "exit_code": _worst_exit_code(output.exit_codes),
            },
            labels={"repository": output.repository},
            key=make_post_key(request) if output.archives else None,
        )
    ]


def _parse_output(text: str) -> _BorgOutput:
    output = _BorgOutput(has_progress=_PROGRESS[0] in text)
    for piece in split_output(text, _PROGRESS):
        value: Any = piece.value
        match value:
            case {"type": "log_message"}:
                _add_log_message(output, value)
            case {"type": "file_status"}:
                path, status = as_text(value.get("path")) or "", as_text(value.get("status")) or ""
                output.unread |= {path} if status == "E" else set()
                output.log.append(f"{status} {path}")
            case {"type": str(kind)} if kind in _PROGRESS_TYPES:
                output.has_progress = True
            case {"archive": {}}:
                archive, repository = value["archive"], value.get("repository")
                output.archives.append(archive)
                output.repository = as_text(repository.get("location")) if isinstance(repository, dict) else None
                output.log.append(
                    f"archive {as_text(archive.get('name')) or ''} in {output.repository or 'its repository'}"
                )
            case {"message": str(message)}:
                output.log.append(message)
            case {} | [*_]:  # lists and statistics: this command was not a backup
                output.activity = "other"
                output.log.append(piece.text)
            case _:  # a line that borg prints without `--log-json`
                output.log.append(piece.text)
                _note_command_and_end(output, piece.text)
                if piece.text.startswith("E "):
                    output.unread.add(piece.text[2:])
                elif not piece.text.startswith(_END_LINE) and (found := find_log_errors(piece.text)) is not None:
                    output.warnings.append(found.line)
    return output


def _add_log_message(output: _BorgOutput, entry: Mapping[str, Any]) -> None:
    message, level = (as_text(entry.get("message")) or "").strip(), as_text(entry.get("levelname")) or "INFO"
    output.at = parse_unix_time(entry.get("time")) or output.at
    output.log.append(message if level == "INFO" else f"{level} {message}")
    _note_command_and_end(output, message)
    if level in ("ERROR", "CRITICAL"):
        cause = _EXCEPTION.findall(message[-5000:]) if message.startswith("Traceback") else []
        output.errors.append(cause[-1] if cause else message.partition("\n")[0])
    elif level == "WARNING" and not message.startswith((_REMOTE_LINE, _END_LINE)):
        output.warnings.append(message.partition("\n")[0])


def _note_command_and_end(output: _BorgOutput, line: str) -> None:
    """Note which command a line belongs to, and its exit code."""
    if ended := _EXIT_CODE.search(line[:200]):
        output.exit_codes.append(int(ended[1]))
    if _VERIFY_LINE.search(line[:200]):
        output.activity = "verify"
    elif _PRUNE_LINE.search(line[:200]):
        output.activity = "prune"


def _find_result(output: _BorgOutput) -> tuple[str | None, str | None]:
    """Return the outcome and its reason; None for an output that reports no end."""
    code, errors, warnings = _worst_exit_code(output.exit_codes), output.errors, output.warnings
    if code is not None and code != 0 and code not in _WARNING_EXIT_CODES:
        reasons = errors[-1:] or warnings[-1:]
        return "failure", reasons[0] if reasons else ": ".join([describe_exit_code(code), *output.log[-1:]])
    if errors and code != 0:  # `check` ends with 1, a warning, when the repository is damaged
        return "failure", errors[0] if output.activity == "verify" else errors[-1]
    warnings = [*warnings, *(f"{path}: could not be read" for path in sorted(output.unread)[:1])]
    if code in _WARNING_EXIT_CODES or errors or output.unread or (code is None and warnings):
        count = max(len(output.unread), len(output.warnings))
        reasons = errors[:1] or warnings[:1]
        reason = reasons[0] if reasons else f"borg reports a warning (exit code {code})"
        return "warning", f"{reason} ({count} such lines)" if count > 1 else reason
    if code == 0 or output.archives:
        return "success", None
    if output.has_progress:
        return "failure", "the output ends before borg's archive: borg did not finish"
    return None, None


def _worst_exit_code(codes: Sequence[int]) -> int | None:
    """Return the worst exit code: an error before a warning before 0."""
    return max(codes, key=lambda code: (code != 0, code not in _WARNING_EXIT_CODES)) if codes else None


def _sum_amounts(items: Sequence[Mapping[str, Any]], name: str) -> float | None:
    amounts = [value for item in items if (value := parse_non_negative(item.get(name))) is not None]
    return sum(amounts) if amounts else None
