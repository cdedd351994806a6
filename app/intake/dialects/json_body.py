"""Opens a body as JSON, whatever it claims to be. It never fails: what is no JSON object gives an empty one."""

import json
from collections.abc import Mapping
from typing import Any

from app.intake.dialects.tool_request import ToolRequest

MOST = 4 * 1024 * 1024


def object_in(text: str, most: int = MOST) -> Mapping[str, Any]:
    """Give the object, or an empty one: for no JSON, for another kind of value, for what is larger than `most` characters."""
    if not text or len(text) > most:
        return {}
    try:
        found = json.loads(text, strict=False)  # templates put raw line ends into strings
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def object_of(said: ToolRequest, most: int = MOST) -> Mapping[str, Any]:
    """Give the object that a body is, or an empty one."""
    return object_in(said.text, most) if said.body else {}


def text_in(found: object) -> str | None:
    """Give a value as text, if it is one or a number."""
    if isinstance(found, str):
        return found or None
    return str(found) if isinstance(found, int | float) and not isinstance(found, bool) else None
