"""borg's output, with `--json`, `--log-json` or neither, as a script posts it: standard output, standard error or both.

Source: https://borgbackup.readthedocs.io/en/stable/internals/frontends.html. The archive's times have no zone, so they are not used.
Exit code 1 and 100 to 127 are warnings; an archive in the output says nothing of files that could not be read.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from app.intake.dialects.json_body import text_in
from app.intake.dialects.json_pieces import pieces_of
from app.intake.dialects.log_errors import confessed
from app.intake.dialects.make_event import number, told
from app.intake.dialects.moments import moment_of_unix
from app.intake.dialects.script_params import exit_code_of, exit_words, key_of, who
from app.intake.dialects.tool_request import NotUnderstood, ToolRequest
from app.intake.parse import WireEvent

TOOL = "borg"
_PROGRESS = ('{"type": "archive_progress"', '{"type": "progress_')
_PROGRESS_TYPES = ("archive_progress", "progress_message", "progress_percent")
_WARNINGS = frozenset({1, *range(100, 128)})
_END = "terminating with "
_RC = re.compile(_END + r"(?:success|warning|error) status, rc (\d{1,5})")
_EXCEPTION = re.compile(r"^(\w[\w.]{0,100}(?:Error|Exception|Full|Timeout)\b.{0,500})$", re.MULTILINE)
_VERIFY = re.compile(
    r"(?:Finished|Starting) (?:full |partial )?repository check|[Cc]onsistency check|^Data integrity error"
)
_PRUNE = re.compile(r"^(?:Keeping|Pruning|Would prune|Deleting|Deleted) archive|^compaction freed")
_FOREIGN = "Remote: "  # what the server's login said, such as its greeting
_AMOUNTS = {
    "bytes_processed": "original_size",
    "bytes_stored": "deduplicated_size",
    "files_processed": "nfiles",
}


@dataclass(slots=True)
class _Heard:
    """What the output tells, gathered line by line."""

    archives: list[Mapping[str, Any]] = field(default_factory=list)
    repository: str | None = None
    bad: list[str] = field(default_factory=list)
    odd: list[str] = field(default_factory=list)
    unread: set[str] = field(default_factory=set)
    log: list[str] = field(default_factory=list)
    exits: list[int] = field(default_factory=list)
    at: datetime | None = None
    activity: str = "backup"
    is_progress: bool = False


def read(said: ToolRequest) -> Sequence[WireEvent]:
    """Give the event of one post. Raises NotUnderstood for what is no output of borg's and has no exit code."""
    text, code = said.text, exit_code_of(said)
    heard = _heard(text)
    if code is not None:
        heard.exits.append(code)
    outcome, message = _verdict(heard)
    if outcome is None:
        raise NotUnderstood("neither borg's archive nor an exit code")
    of = who(said, TOOL, heard.activity)
    stats = [one["stats"] for one in heard.archives if isinstance(one.get("stats"), dict)]
    return [
        told(
            TOOL,
            **of,
            phase="finished",
            outcome=outcome,
            at=heard.at,
            message=message,
            log="\n".join(heard.log) or None,
            metrics={
                "duration_s": _sum(heard.archives, "duration"),
                **{metric: _sum(stats, name) for metric, name in _AMOUNTS.items()},
                "files_failed": len(heard.unread) or (0 if outcome == "success" and heard.exits else None),
                "exit_code": _worst(heard.exits),
            },
            labels={"repository": heard.repository},
            key=key_of(said) if heard.archives else None,
        )
    ]


def _heard(text: str) -> _Heard:
    heard = _Heard(is_progress=_PROGRESS[0] in text)
    for piece in pieces_of(text, _PROGRESS):
        value: Any = piece.value
        match value:
            case {"type": "log_message"}:
                _message(heard, value)
            case {"type": "file_status"}:
                path, status = text_in(value.get("path")) or "", text_in(value.get("status")) or ""
                heard.unread |= {path} if status == "E" else set()
                heard.log.append(f"{status} {path}")
            case {"type": str(kind)} if kind in _PROGRESS_TYPES:
                heard.is_progress = True
            case {"archive": {}}:
                _archive(heard, value)
            case {"message": str(words)}:
                heard.log.append(words)
            case {} | [*_]:  # lists and figures: what was done here is no backup
                heard.activity = "other"
                heard.log.append(piece.text)
            case _:
                _line(heard, piece.text)
    return heard


def _archive(heard: _Heard, said: Mapping[str, Any]) -> None:
    archive, repository = said["archive"], said.get("repository")
    heard.archives.append(archive)
    heard.repository = text_in(repository.get("location")) if isinstance(repository, dict) else None
    heard.log.append(f"archive {text_in(archive.get('name')) or ''} in {heard.repository or 'its repository'}")


def _message(heard: _Heard, said: Mapping[str, Any]) -> None:
    words, level = (text_in(said.get("message")) or "").strip(), text_in(said.get("levelname")) or "INFO"
    heard.at = moment_of_unix(said.get("time")) or heard.at
    heard.log.append(words if level == "INFO" else f"{level} {words}")
    _signs(heard, words)
    if level in ("ERROR", "CRITICAL"):
        cause = _EXCEPTION.findall(words[-5000:]) if words.startswith("Traceback") else []
        heard.bad.append(cause[-1] if cause else words.partition("\n")[0])
    elif level == "WARNING" and not words.startswith((_FOREIGN, _END)):
        heard.odd.append(words.partition("\n")[0])


def _line(heard: _Heard, line: str) -> None:
    """Take a line of borg without `--log-json`."""
    heard.log.append(line)
    _signs(heard, line)
    if line.startswith("E "):
        heard.unread.add(line[2:])
    elif not line.startswith(_END) and (found := confessed(line)) is not None:
        heard.odd.append(found.line)


def _signs(heard: _Heard, words: str) -> None:
    """Note what a line says of the command and its end, whatever else it says."""
    if ended := _RC.search(words[:200]):
        heard.exits.append(int(ended[1]))
    if _VERIFY.search(words[:200]):
        heard.activity = "verify"
    elif _PRUNE.search(words[:200]):
        heard.activity = "prune"


def _verdict(heard: _Heard) -> tuple[str | None, str | None]:
    """Give the outcome and its reason; None for an output that tells of no end."""
    code = _worst(heard.exits)
    if code is not None and code != 0 and code not in _WARNINGS:
        return "failure", _reason(heard.bad[-1:] or heard.odd[-1:], ": ".join([exit_words(code), *heard.log[-1:]]))
    if heard.bad and code != 0:  # `check` ends with 1, a warning, when the repository is damaged
        return "failure", heard.bad[0] if heard.activity == "verify" else heard.bad[-1]
    odd = [*heard.odd, *(f"{path}: could not be read" for path in sorted(heard.unread)[:1])]
    if code in _WARNINGS or heard.bad or heard.unread or (code is None and odd):
        count = max(len(heard.unread), len(heard.odd))
        words = _reason(heard.bad[:1] or odd[:1], f"borg warns of something (exit code {code})")
        return "warning", f"{words} ({count} such lines)" if count > 1 else words
    if code == 0 or heard.archives:
        return "success", None
    if heard.is_progress:
        return "failure", "the output ends before borg's archive: it did not come to its end"
    return None, None


def _reason(lines: Sequence[str], otherwise: str) -> str:
    return lines[0] if lines else otherwise


def _worst(codes: Sequence[int]) -> int | None:
    """Give the worst exit code: an error before a warning before 0."""
    return max(codes, key=lambda code: (code != 0, code not in _WARNINGS)) if codes else None


def _sum(given: Sequence[Mapping[str, Any]], name: str) -> float | None:
    known = [value for one in given if (value := number(one.get(name))) is not None and value >= 0]
    return sum(known) if known else None
