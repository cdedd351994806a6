"""What the line in a script that posts a program's output says in its address: exit code, job, host, activity."""

import hashlib
import re
from typing import Any

from app.intake import fields
from app.intake.dialects.tool_request import ToolRequest

_EXIT = re.compile(r"-?\d{1,10}")
_SIGNALS_FROM, _SIGNALS_TO = 128, 192


def exit_code_of(said: ToolRequest) -> int | None:
    """Give the exit code; None if the address has none that is a number."""
    given = next((value for name in ("exit_code", "exit", "code", "rc") if (value := said.asked(name))), "").strip()
    return int(given) if _EXIT.fullmatch(given) else None


def who(said: ToolRequest, tool: str, found: str) -> dict[str, Any]:
    """Give agent, job and activity: by the address, else by the key, else as `found` in the output."""
    asked = (said.asked("activity") or "").lower()
    return {
        "agent": said.asked("agent") or said.asked("host"),
        "job": said.asked("job") or said.job or tool,
        "activity": asked if asked in fields.ACTIVITIES else found,
    }


def key_of(said: ToolRequest) -> str:
    """Name a post whose output names what it made, such as a snapshot: when it comes again, a script sent it again."""
    return f"{sorted(said.query)} {said.job} {hashlib.sha256(said.body).hexdigest()}"


def exit_words(code: int) -> str:
    """Say what an exit code means that names a signal; a shell gives 128 and its number, Python the number below nought."""
    if code < 0 or _SIGNALS_FROM < code < _SIGNALS_TO:
        return f"ended by signal {-code if code < 0 else code - _SIGNALS_FROM}"
    return f"exit code {code}"
