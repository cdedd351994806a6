"""restic: the JSON lines of `--json` on both streams, and of its plain words the errors and the end.

https://restic.readthedocs.io/en/stable/075_scripting.html
"""

from __future__ import annotations

import re

from programs.protocol.checked import CheckedObject
from programs.reporter.readings.reading import Reading, amount, inner, numbers, objects, short

_SUMMARY = {
    "total_bytes_processed": "bytes_processed",
    "data_added": "bytes_stored",
    "data_added_packed": "bytes_stored",  # since 0.17: as it lies in the repository
    "total_files_processed": "files_processed",
    "files_new": "files_new",
    "files_changed": "files_changed",
}
_ERROR = re.compile(r"^(?:error: .{1,2000}|.{1,2000} does not exist, skipping)$", re.MULTILINE)
_FATAL = re.compile(r"^(?:Fatal: |unable to ).{1,2000}$", re.MULTILINE)
_PROCESSED = re.compile(r"^processed (\d{1,18}) files, ([\d.]{1,20} [KMGTP]?i?B) in ", re.MULTILINE)
_ADDED = re.compile(r"^Added to the repo(?:sitory)?: ([\d.]{1,20} [KMGTP]?i?B)(?: \(([\d.]{1,20} [KMGTP]?i?B) stored\))?", re.MULTILINE)  # fmt: skip
_SAVED = re.compile(r"^snapshot ([0-9a-f]{8,64}) saved", re.MULTILINE)


def read(out: str, err: str) -> Reading:
    """Read the ends of both streams."""
    metrics, snapshot = _plain(out)
    for given in objects(out):
        if given.values.get("message_type") == "summary" and "files_new" in given.values:
            metrics, snapshot = numbers(given, _SUMMARY), given.cut("snapshot_id", 64)
    fatal, errors = next(iter(_FATAL.findall(err)), ""), _ERROR.findall(err)
    items = set(errors)
    for given in objects(err):
        kind = given.values.get("message_type")
        if kind == "error":
            items.add(given.cut("item", 2000))
            errors.append(_reason(given))
        elif kind == "exit_error":
            fatal = given.cut("message", 2000)
    if items:
        metrics = {**metrics, "files_failed": len(items)}
    first = next((one for one in errors if one), "")
    is_partial = "at least one source file could not be read" in fatal
    note = f"snapshot {snapshot[:8]} saved" if snapshot else ""
    reason = first if is_partial else fatal or first
    return Reading(metrics, len(items), short(reason), note, {"snapshot": snapshot} if snapshot else {})


def _plain(out: str) -> tuple[dict[str, float], str]:
    metrics: dict[str, float] = {}
    if found := _PROCESSED.search(out):
        metrics["files_processed"] = int(found[1])
        metrics.update(_bytes("bytes_processed", found[2]))
    if found := _ADDED.search(out):
        metrics.update(_bytes("bytes_stored", found[2] or found[1]))
    saved = _SAVED.search(out)
    return metrics, saved[1] if saved else ""


def _bytes(name: str, word: str) -> dict[str, float]:
    value = amount(word)
    return {} if value is None else {name: int(value)}


def _reason(given: CheckedObject) -> str:
    """Give what an error says: since 0.17 a message; before, a path at most."""
    error = inner(given, "error")
    return error.cut("message", 2000) or "could not read " + (error.cut("Path", 2000) or given.cut("item", 2000))
