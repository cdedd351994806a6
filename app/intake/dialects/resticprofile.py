"""resticprofile's HTTP hooks: `send-before` as `start`, `send-after`, `send-after-fail` as `fail`, `send-finally`. What restic printed may be the body.

Source: https://creativeprojects.github.io/resticprofile/configuration/http_hooks/. Profile and command stand in the address, or in the
JSON of its `body-template`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from app.intake.dialects import restic
from app.intake.dialects.json_body import object_of, text_in
from app.intake.dialects.make_event import told
from app.intake.dialects.tool_request import NotUnderstood, ToolRequest
from app.intake.parse import WireEvent

TOOL = "resticprofile"
# What its environment and its template's object call them, and how people shorten that.
_PROFILE = ("profile", "profileName", "ProfileName", "profile_name")
_COMMAND = ("command", "profileCommand", "ProfileCommand", "profile_command")
_EXIT = ("exit_code", "exitCode", "ExitCode", "error_exit_code")
_ERROR = ("error", "message", "Message", "Error")
_OUTPUT = ("stdout", "Stdout", "stderr", "Stderr", "error_stderr")
_ACTIVITIES = {
    "backup": "backup", "check": "verify", "forget": "prune", "prune": "prune", "retention": "prune", "copy": "replicate",
    "restore": "restore", "init": "admin",
}  # fmt: skip
_STATES = ("", "start", "fail", "finally")


def read(said: ToolRequest) -> Sequence[WireEvent]:
    """Give the event of one hook. Raises NotUnderstood for an address that ends in another word."""
    state = said.path[0] if said.path else ""
    if state not in _STATES:
        raise NotUnderstood(f"{state[:40]!r} is none of resticprofile's states")
    given = {**object_of(said), **{name: value for name, value in said.query if value}}
    nested = given.get("Error")
    if isinstance(nested, dict):
        given = {**nested, **given}
    command = (_of(given, _COMMAND) or "backup").lower()
    who: dict[str, Any] = {
        "agent": said.asked("agent") or said.asked("host"),
        "job": said.asked("job") or said.job or _of(given, _PROFILE) or TOOL,
        "activity": _ACTIVITIES.get(command, "other"),
    }
    if state == "start":
        return [told(TOOL, **who, phase="started")]
    return [_end(said, given, state, who)]


def _end(said: ToolRequest, given: Mapping[str, Any], state: str, who: Mapping[str, Any]) -> WireEvent:
    """Have restic's dialect read what restic printed. A failure without an exit code is one of resticprofile's own."""
    code, error = _of(given, _EXIT), _of(given, _ERROR)
    parts = [text for name in _OUTPUT if (text := text_in(given.get(name)))]
    output = "\n".join(parts) if parts or object_of(said) else said.text
    if not code:
        code = "1" if state == "fail" or error else "0"
    query = [("exit_code", code), ("activity", who["activity"]), ("job", who["job"])]
    (event,) = restic.read(replace(said, query=query, body=output.encode("utf-8", "replace"), headers={}))
    message = event.get("message")
    if error and event.get("outcome") != "success" and (not message or message.startswith("exit code")):
        message = error
    return told(
        TOOL,
        **who,
        phase="finished",
        outcome=event.get("outcome"),
        at=event.get("occurred_at"),
        message=message,
        log=event.get("log"),
        metrics=event.get("metrics"),
    )


def _of(given: Mapping[str, Any], names: Sequence[str]) -> str | None:
    return next((text for name in names if (text := text_in(given.get(name)))), None)
