"""restic's output, with `--json` or without, as a script posts it: standard output, standard error, both, or the summary alone.

Source: https://restic.readthedocs.io/en/stable/075_scripting.html. Standard output is the same whether all files were read or not:
errors and the exit code tell. The worst of what is said counts.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from app.intake.dialects.amounts import bytes_in
from app.intake.dialects.json_body import text_in
from app.intake.dialects.json_pieces import pieces_of
from app.intake.dialects.log_errors import confessed
from app.intake.dialects.make_event import number, told
from app.intake.dialects.moments import moment_in
from app.intake.dialects.script_params import exit_code_of, exit_words, key_of, who
from app.intake.dialects.tool_request import NotUnderstood, ToolRequest
from app.intake.parse import WireEvent

TOOL = "restic"
_PROGRESS = ('{"message_type":"status"', '{"message_type":"verbose_status"')
_PARTIAL = 3
_MEANINGS = {
    _PARTIAL: "some files could not be read",
    10: "the repository does not exist",
    11: "the repository is locked",
    12: "the password is wrong",
    130: "it was interrupted",
}
_FATAL = re.compile(
    r"Fatal: |^unable to create lock|^signal \w{1,20} received|^(?:unknown|invalid|ambiguous) (?:flag|command)"
)
_SKIPPED = re.compile(r".{1,4000} does not exist, skipping$")
_OTHER = (
    ("verify", re.compile(r"^(?:check all packs|check snapshots, trees and blobs|no errors were found)")),
    ("prune", re.compile(r"^(?:total prune:|to delete:|repacking packs|keep \d{1,9} snapshots:)")),
    ("restore", re.compile(r"^restoring <?[Ss]napshot ")),
    ("admin", re.compile(r"^created restic repository ")),
)
# What it prints without `--json`, as its summary would have it.
_PLAIN = re.compile(
    r"processed (?P<files>\d{1,12}) files, (?P<bytes>[\d.]{1,20} \w{1,5}) in (?:(?P<h>\d{1,5}):)?(?P<m>\d{1,5}):(?P<s>\d\d)$"
    r"|Added to the repo(?:sitory)?: (?P<added>[\d.]{1,20} \w{1,5})(?: {1,9}\((?P<stored>[\d.]{1,20} \w{1,5}) stored\))?$"
)
_TRIES = re.compile(r" returned error, retrying after ")
_GOOD = re.compile(r"^(?:no errors were found|snapshot [0-9a-f]{8} saved)")
_ERRORS_MOST = 10_000
# Summed, for a script may post the output of several calls.
_AMOUNTS = {
    "duration_s": ("total_duration",),
    "bytes_processed": ("total_bytes_processed", "bytes_restored"),
    "bytes_stored": ("data_added_packed", "data_added"),
    "files_processed": ("total_files_processed", "files_restored"),
}


@dataclass(slots=True)
class _Heard:
    """What the output tells, gathered line by line."""

    summaries: list[Mapping[str, Any]] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    items: set[str] = field(default_factory=set)
    fatal: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    plain: list[str] = field(default_factory=list)
    log: list[str] = field(default_factory=list)
    exits: list[int] = field(default_factory=list)
    activities: set[str] = field(default_factory=set)
    is_good: bool = False
    is_under_way: bool = False


def read(said: ToolRequest) -> Sequence[WireEvent]:
    """Give the event of one post. Raises NotUnderstood for what is no output of restic's and has no exit code."""
    text, code = said.text, exit_code_of(said)
    heard = _heard(text)
    if code is not None:
        heard.exits.append(code)
    outcome, message = _verdict(heard)
    if outcome is None:
        raise NotUnderstood("neither restic's summary nor an exit code")
    of = who(said, TOOL, _activity(heard))
    return [
        told(
            TOOL,
            **of,
            phase="finished",
            outcome=outcome,
            at=next((at for one in reversed(heard.summaries) if (at := moment_in(one.get("backup_end")))), None),
            message=message,
            log="\n".join(heard.log) or None,
            metrics={
                **{name: _sum(heard.summaries, names) for name, names in _AMOUNTS.items()},
                "files_failed": len(heard.items) or (0 if outcome == "success" and heard.exits else None),
                "exit_code": _worst(heard.exits),
            },
            key=key_of(said) if any("snapshot_id" in one for one in heard.summaries) else None,
        )
    ]


def _heard(text: str) -> _Heard:
    heard = _Heard(is_under_way=_PROGRESS[0] in text)
    for piece in pieces_of(text, _PROGRESS):
        value: Any = piece.value
        match value:
            case {"message_type": "summary"}:
                heard.summaries.append(value)
                heard.log.append(piece.text)
            case {"message_type": "error"}:
                _error(heard, value)
            case {"message_type": "exit_error"}:
                words = (text_in(value.get("message")) or "").strip()
                code = number(value.get("code"))
                heard.exits += [int(code)] if code is not None else []
                heard.fatal += [words] if words and code != _PARTIAL else []
                heard.log.append(words)
                heard.plain.append(words)
            case {"message_type": "initialized"}:
                heard.activities.add("admin")
                heard.is_good = True
            case [{"keep": _} | {"remove": _}, *_]:
                heard.activities.add("prune")
                heard.is_good = True
            case None:
                _line(heard, piece.text)
            case _:  # lists and figures: what was done here is no backup
                heard.activities.add("other")
                heard.log.append(piece.text)
    return heard


def _error(heard: _Heard, said: Mapping[str, Any]) -> None:
    """Take one error: before 0.16 without words, for it was Go's own; of `check` without a file."""
    inner = said.get("error")
    words = text_in(inner.get("message")) if isinstance(inner, dict) else None
    item = text_in(said.get("item"))
    line = (words or text_in(said.get("message")) or f"{item or 'a file'} could not be read").strip()
    if item:
        heard.items.add(item)
    if line not in heard.errors[-2:] and len(heard.errors) < _ERRORS_MOST:
        heard.errors.append(line)
    heard.log.append(f"error: {line}")


def _line(heard: _Heard, line: str) -> None:
    heard.log.append(line)
    heard.plain.append(line)
    if _FATAL.search(line[:500]):
        heard.fatal.append(line)
    elif _SKIPPED.match(line):
        heard.skipped.append(line)
    if (amounts := _PLAIN.match(line)) is not None:
        heard.summaries.append(_summary(amounts))
    heard.activities |= {activity for activity, sign in _OTHER if sign.match(line)}
    heard.is_good = heard.is_good or _GOOD.match(line) is not None
    heard.is_under_way = heard.is_under_way or _TRIES.search(line[:1000]) is not None


def _summary(line: re.Match[str]) -> Mapping[str, Any]:
    if line["files"]:
        seconds = int(line["h"] or 0) * 3600 + int(line["m"]) * 60 + int(line["s"])
        return {
            "total_files_processed": int(line["files"]),
            "total_bytes_processed": bytes_in(line["bytes"]),
            "total_duration": seconds,
        }
    return {"data_added_packed": bytes_in(line["stored"] or line["added"])}


def _verdict(heard: _Heard) -> tuple[str | None, str | None]:
    """Give the outcome and its reason; None for an output that tells of no end."""
    code = _worst(heard.exits)
    damaged = sum(number(one.get("num_errors")) or 0 for one in heard.summaries)
    if heard.fatal or damaged or code not in (None, 0, _PARTIAL):
        return "failure", _reason(heard, code)
    found = confessed("\n".join(heard.plain))
    troubled = heard.errors or heard.skipped or ([found.line] if found else [])
    if code == _PARTIAL or troubled:
        count = len(heard.items) or len(heard.skipped) or (found.count if found else 0)
        words = troubled[0] if troubled else f"{_MEANINGS[_PARTIAL]} (exit code {_PARTIAL})"
        return "warning", f"{words} ({count} such)" if count > 1 else words
    if code == 0 or heard.summaries or heard.is_good:
        is_dry = any(one.get("dry_run") is True for one in heard.summaries)
        return "success", "a dry run: nothing was saved" if is_dry else None
    if heard.is_under_way:
        return "failure", "the output ends before restic's summary: it did not come to its end"
    return None, None


def _reason(heard: _Heard, code: int | None) -> str:
    """Say why it failed: what is fatal, with the first error where that says what is wrong; else what the exit code means."""
    first = heard.errors[:1]
    if heard.fatal:
        fatal = heard.fatal[-1].strip().partition("\n")[0].removeprefix("Fatal: ")
        return ": ".join([fatal, *(first if _activity(heard) == "verify" else [])])
    meaning = _MEANINGS.get(code or 0) or exit_words(code or 1)
    return ": ".join([meaning, *(first or heard.plain[-1:])])


def _activity(heard: _Heard) -> str:
    """Name what was done. A dry run is no backup: it must not end a row of failures."""
    for one in heard.summaries:
        if "num_errors" in one:
            return "verify"
        if "files_restored" in one:
            return "restore"
        return "other" if one.get("dry_run") is True else "backup"
    known = (*(activity for activity, _ in _OTHER), "other")
    return next((one for one in known if one in heard.activities), "backup")


def _worst(codes: Sequence[int]) -> int | None:
    """Give the worst exit code: what is neither 0 nor partial before the partial one, that before 0."""
    return max(codes, key=lambda code: (code not in (0, _PARTIAL), code == _PARTIAL)) if codes else None


def _sum(summaries: Sequence[Mapping[str, Any]], names: Sequence[str]) -> float | None:
    """Add up one amount over the summaries that have it, under the first of its names."""
    found = [
        next((value for name in names if (value := number(one.get(name))) is not None and value >= 0), None)
        for one in summaries
    ]
    known = [value for value in found if value is not None]
    return sum(known) if known else None
