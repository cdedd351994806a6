"""Notice a name that a request states twice with different values. Of `status: failure, status: success`, parsers keep one value.

Which field of a tool states its outcome, only its dialect knows. So a request that repeats any name proves no success.
"""

import json
from collections.abc import Iterable, Sequence
from typing import Any

from app.domain.event import Severity
from app.intake.dialects.make_event import doubt_success
from app.intake.dialects.notes import Notes
from app.intake.parse import WireEvent

_MAX_SHOWN = 40
_LISTS = frozenset(("metric", "tag", "tags"))  # parameters of an address that tools repeat for a list
_TROUBLE = (Severity.ERROR.value, Severity.CRITICAL.value)
REPEATED_NAMES = Notes("repeated names")


def keep_last(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object or a form with the last value of each name, and note a name with different values."""
    pairs = list(pairs)
    found = dict(pairs)
    noted = REPEATED_NAMES.texts()
    if noted is not None and not noted and len(found) < len(pairs):
        name = next((name for name, value in pairs if value != found[name]), None)
        if name is not None:
            values = [value for stated, value in pairs if stated == name]
            first = next(value for value in values if value != values[-1])
            noted.append(f"it states {_show(name)} twice: {_show(first)} and {_show(values[-1])}")
    return found


def note_parameters(query: Sequence[tuple[str, str]]) -> None:
    """Note a parameter of an address that is repeated with different values, unless tools send lists in it."""
    keep_last((name, value) for name, value in query if value and name.lower() not in _LISTS)


def doubt_repeated(event: WireEvent, why: str) -> WireEvent:
    """Return the event of a request that states a name twice: unclear, unless it reports trouble anyway."""
    if event.get("outcome") is None and event.get("severity") not in _TROUBLE:
        event = {**event, "phase": "finished", "outcome": "success"}  # a start, which may hide the end of a run
    return doubt_success(event, why)


def _show(value: object) -> str:
    text = (
        value
        if isinstance(value, str)
        else json.dumps(value, ensure_ascii=False)
        if not isinstance(value, dict | list)
        else "an object"
    )
    return text[:_MAX_SHOWN]
