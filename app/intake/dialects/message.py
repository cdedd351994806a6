"""Read a message that a tool sends to a person: a title and a text, and what its fields state next to them.

A known report within it comes first, whoever carries it. Trouble in words or in a field outweighs a success in the other.
"""

import re
from collections.abc import Sequence

from app.domain.event import STATUS_FIELD
from app.intake.dialects import backrest, duplicati, proxmox
from app.intake.dialects.tool_request import NotUnderstood, ToolRequest
from app.intake.language.log_errors import find_log_errors
from app.intake.language.reader import Meaning, Reading, read_words
from app.intake.parse import WireEvent

_FENCE = "```"
# borgmatic's own words where its configuration has none; it reports a failure as `FAIL`, so `FINISH` is a success.
_BORGMATIC = re.compile(r"A borgmatic (START|FINISH|FAIL) event happened\.?", re.IGNORECASE)
_BORGMATIC_STATES = {"start": Meaning.STARTED, "finish": Meaning.SUCCESS, "fail": Meaning.FAILURE}
_WORST_FIRST = (Meaning.FAILURE, Meaning.WARNING, Meaning.CANCELLED)


def read_message(
    title: str, text: str, request: ToolRequest, *, stated: str | None = None, job: str | None = None
) -> Reading:
    """Return what a message says. `stated` is the outcome that a field of it names, such as a tag or a type.

    A text of several lines under a stated outcome is a log: only lines that a known tool writes count against it.
    """
    names = [*request.names_in(title, text), *(name for name in (job, request.job, request.agent) if name)]
    by_field = None if stated is None else Reading(Meaning(stated), stated, STATUS_FIELD)
    is_log = by_field is not None and "\n" in text.strip()
    if (found := _BORGMATIC.fullmatch(title.strip())) is not None:
        return Reading(_BORGMATIC_STATES[found[1].lower()], title[:200], STATUS_FIELD)
    by_words = read_words(title, "" if is_log else text, names=names)
    for meaning in _WORST_FIRST:
        for reading in (by_words, by_field):
            if reading is not None and reading.meaning is meaning:
                return reading
    if by_words.meaning is Meaning.STARTED:
        return by_words
    best = by_field or by_words
    errors = find_log_errors(text) if best.meaning is Meaning.SUCCESS else None
    return best if errors is None else Reading(Meaning.WARNING, errors.line[:200], "log line of a known tool")


def choose_message(reading: Reading, title: str, text: str) -> str | None:
    """Return the one line for people: the line that admits trouble, else the title, else the beginning of the text."""
    if reading.rule.startswith("log line"):
        return reading.words
    return title or text.partition("\n")[0] or None


def read_report_within(title: str, text: str, request: ToolRequest) -> Sequence[WireEvent] | None:
    """Return the events of a report of Proxmox, Backrest or Duplicati that a message carries; None if it carries none."""
    agent, job = request.query_value("agent"), request.job or request.query_value("job")
    text = without_fence(text)
    if proxmox.is_proxmox_title(title) or proxmox.parse_guests(text):
        return proxmox.read_report(proxmox.ProxmoxReport(title, text, host=agent or "", job=job))
    if (event := backrest.read_text(text, request)) is not None:
        return [event]
    if duplicati.is_title(title) or duplicati.is_title(text.partition("\n")[0]):
        try:
            return [duplicati.read_report(text, duplicati.ReportSource(agent, job), title)]
        except NotUnderstood:
            return None
    return None


def without_fence(text: str) -> str:
    """Remove the code fence that tools put around a table for Markdown, and the language that it names."""
    stripped = text.strip()
    if not stripped.startswith(_FENCE):
        return text
    first, _, rest = stripped.removeprefix(_FENCE).partition("\n")
    inner = rest if first.strip().isalnum() or not first.strip() else f"{first}\n{rest}"
    return inner.removesuffix(_FENCE).strip("\n")
