"""rclone: the statistics of its log, as JSON (`--use-json-log`) or in plain text, and the errors in it. All of it is on stderr."""

from __future__ import annotations

import re

from programs.reporter.readings.reading import OutputReading, amount, inner, number, numbers, objects, short

_STATS = {
    "bytes": "bytes_stored",
    "transfers": "files_transferred",
    "checks": "files_checked",
    "deletes": "files_deleted",
    "errors": "errors",
}
_BYTES = re.compile(r"^Transferred:\s{1,20}([\d.]{1,20} ?[KMGTP]?i?B?) / [\d.]{1,20} ?[KMGTP]?i?B", re.MULTILINE)
_COUNTS = {
    "files_transferred": re.compile(r"^Transferred:\s{1,20}(\d{1,18}) / \d{1,18}, ", re.MULTILINE),
    "files_checked": re.compile(r"^Checks:\s{1,20}(\d{1,18}) / \d{1,18}, ", re.MULTILINE),
    "files_deleted": re.compile(r"^Deleted:\s{1,20}(\d{1,18}) ", re.MULTILINE),
    "errors": re.compile(r"^Errors:\s{1,20}(\d{1,18})\b", re.MULTILINE),
}
_ERROR = re.compile(r"^(?:[\d/]{10} [\d:]{8} )?(?:ERROR : |CRITICAL: |Failed to ).{1,2000}$", re.MULTILINE)
_WHEN = re.compile(r"^[\d/]{10} [\d:]{8} ")


def read(out: str, err: str) -> OutputReading:
    """Read the ends of both streams."""
    text = out + "\n" + err
    # The statistics that are printed for people; the last ones count.
    metrics: dict[str, float] = {}
    if (sizes := _BYTES.findall(text)) and (value := amount(sizes[-1], 1024)) is not None:
        metrics["bytes_stored"] = int(value)
    for name, line in _COUNTS.items():
        if counts := line.findall(text):
            metrics[name] = int(counts[-1])
    errors = []
    for entry in objects(err):
        stats = inner(entry, "stats")
        if number(stats, "transfers") is not None:
            metrics = numbers(stats, _STATS)
        if entry.values.get("level") in ("error", "critical"):
            errors.append(entry.cut("msg", 2000))
    errors += [_WHEN.sub("", line) for line in _ERROR.findall(err)]
    count = int(metrics.pop("errors", 0)) or len(errors)
    if count:
        metrics["errors"] = count
    return OutputReading(metrics, count, short(errors[0] if errors else ""))
