"""Read what a script posts after a backup: parameters in the address, and a program's output as the body."""

import hashlib
import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple, TypedDict

from app.intake import fields
from app.intake.dialects.repeated_names import keep_last
from app.intake.dialects.tool_request import ToolRequest

_EXIT_CODE = re.compile(r"-?\d{1,10}")
_SIGNAL_BASE, _SIGNAL_END = 128, 192
_NEVER_RAN = {126: "the command could not be run", 127: "the command was not found"}  # a shell's own
# How many values that span lines may turn out not to be JSON: each attempt may read the whole rest of the text.
_MAX_ATTEMPTS, _MAX_LINES = 20, 500_000
_DECODER = json.JSONDecoder(strict=False, object_pairs_hook=keep_last)
_COLOURS = re.compile(r"\x1b\[[0-9;]{0,20}[A-Za-z]")


class RunIdentity(TypedDict):
    """Which run a post is about, as arguments of `make_event`."""

    agent: str | None
    job: str
    activity: str


def identify_run(request: ToolRequest, tool: str, activity: str) -> RunIdentity:
    """Return agent, job and activity: from the address, else from the key, else `activity` as found in the output."""
    requested = (request.query_value("activity") or "").lower()
    return {
        "agent": request.query_value("agent") or request.query_value("host"),
        "job": request.query_value("job") or request.job or tool,
        "activity": requested if requested in fields.ACTIVITIES else activity,
    }


def parse_exit_code(request: ToolRequest) -> int | None:
    """Return the exit code in the address; None if there is none that is a number."""
    names = ("exit_code", "exit", "code", "rc")
    value = next((value for name in names if (value := request.query_value(name))), "").strip()
    return int(value) if _EXIT_CODE.fullmatch(value) else None


def describe_exit_code(code: int) -> str:
    """Describe an exit code. For a program ended by a signal, a shell reports 128 plus its number, Python its negative number."""
    if code < 0 or _SIGNAL_BASE < code < _SIGNAL_END:
        return f"ended by signal {-code if code < 0 else code - _SIGNAL_BASE}"
    never_ran = _NEVER_RAN.get(code)
    return f"exit code {code}: {never_ran}" if never_ran else f"exit code {code}"


def make_post_key(request: ToolRequest) -> str:
    """Return a key for a post whose output names what was made, such as a snapshot: a script that retries sends the same again."""
    return f"{sorted(request.query)} {request.job} {hashlib.sha256(request.body).hexdigest()}"


class OutputPiece(NamedTuple):
    """A piece of the output as it came, and the JSON object or array that it is; None for any other text."""

    text: str
    value: dict[str, Any] | list[Any] | None = None


def split_output(text: str, skipped_prefixes: tuple[str, ...] = ()) -> Iterator[OutputPiece]:
    """Split a program's output into JSON values, each on one line or spread over several, and the lines between them. It never fails.

    Blank lines, terminal colours, and lines with one of the `skipped_prefixes` (progress messages, of which there are thousands)
    are left out. A last line that was cut off is text like any other.
    """
    position, attempts, lines = 0, 0, 0
    while position < len(text) and lines < _MAX_LINES:
        end = text.find("\n", position)
        end = len(text) if end < 0 else end
        line = text[position:end].strip()
        lines += 1
        if line[:1] in ("{", "[") and not line.startswith(skipped_prefixes or ("\n",)):
            value = _parse_line(line)
            if value is None and line in ("{", "[") and attempts < _MAX_ATTEMPTS:
                value, value_end = _parse_spread_value(text, text.index(line, position))
                attempts += value is None
                if value is not None:
                    yield OutputPiece(text[position:value_end].strip(), value)
                    position = value_end
                    continue
            yield OutputPiece(line, value)
        elif line and not (skipped_prefixes and line.startswith(skipped_prefixes)):
            yield OutputPiece(_COLOURS.sub("", line).strip())
        position = end + 1


def _parse_line(line: str) -> dict[str, Any] | list[Any] | None:
    try:
        value = _DECODER.decode(line)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict | list) else None


def _parse_spread_value(text: str, position: int) -> tuple[dict[str, Any] | list[Any] | None, int]:
    """Return the value that begins at a position, and where it ends."""
    try:
        value, end = _DECODER.raw_decode(text, position)
    except (ValueError, RecursionError):
        return None, position
    return (value if isinstance(value, dict | list) else None), end
