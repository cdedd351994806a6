"""restic: the JSON lines of `--json` on both streams; in its plain output, the errors and the final lines.

https://restic.readthedocs.io/en/stable/075_scripting.html
"""

from __future__ import annotations

import re

from programs.reporter.readings.reading import OutputReading, amount, inner, numbers, objects, short

_SUMMARY = {
    "total_bytes_processed": "bytes_processed",
    "data_added": "bytes_stored",
    "data_added_packed": "bytes_stored",  # since 0.17: the size in the repository
    "total_files_processed": "files_processed",
    "files_new": "files_new",
    "files_changed": "files_changed",
}
_ERROR = re.compile(r"^(?:error: .{1,2000}|.{1,2000} does not exist, skipping)$", re.MULTILINE)
_FATAL = re.compile(r"^(?:Fatal: |unable to ).{1,2000}$", re.MULTILINE)
_PROCESSED = re.compile(r"^processed (\d{1,18}) files, ([\d.]{1,20} [KMGTP]?i?B) in ", re.MULTILINE)
_ADDED = re.compile(r"^Added to the repo(?:sitory)?: ([\d.]{1,20} [KMGTP]?i?B)(?: \(([\d.]{1,20} [KMGTP]?i?B) stored\))?", re.MULTILINE)  # fmt: skip
_SAVED = re.compile(r"^snapshot ([0-9a-f]{8,64}) saved", re.MULTILINE)


def read(out: str, err: str) -> OutputReading:
    """Read the ends of both streams."""
    metrics: dict[str, float] = {}
    if found := _PROCESSED.search(out):
        metrics["files_processed"] = int(found[1])
        metrics.update(_bytes("bytes_processed", found[2]))
    if found := _ADDED.search(out):
        metrics.update(_bytes("bytes_stored", found[2] or found[1]))
    saved = _SAVED.search(out)
    snapshot = saved[1] if saved else ""
    for entry in objects(out):
        if entry.values.get("message_type") == "summary" and "files_new" in entry.values:
            metrics, snapshot = numbers(entry, _SUMMARY), entry.cut("snapshot_id", 64)
    fatal, errors = next(iter(_FATAL.findall(err)), ""), _ERROR.findall(err)
    items = set(errors)
    for entry in objects(err):
        kind = entry.values.get("message_type")
        if kind == "error":
            items.add(entry.cut("item", 2000))
            error = inner(entry, "error")  # since 0.17 with a message; before, with a path at most
            path = error.cut("Path", 2000) or entry.cut("item", 2000)
            errors.append(error.cut("message", 2000) or f"could not read {path}")
        elif kind == "exit_error":
            fatal = entry.cut("message", 2000)
    if items:
        metrics = {**metrics, "files_failed": len(items)}
    first = next((text for text in errors if text), "")
    is_partial = "at least one source file could not be read" in fatal
    note = f"snapshot {snapshot[:8]} saved" if snapshot else ""
    reason = first if is_partial else fatal or first
    return OutputReading(metrics, len(items), short(reason), note, {"snapshot": snapshot} if snapshot else {})


def _bytes(name: str, text: str) -> dict[str, float]:
    value = amount(text)
    return {} if value is None else {name: int(value)}
