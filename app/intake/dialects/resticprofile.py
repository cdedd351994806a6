"""resticprofile's HTTP hooks. The body can be what restic printed.

The state in the address: `start` for `send-before`, none for `send-after`, `fail` for `send-after-fail`, `finally` for
`send-finally`. Source: https://creativeprojects.github.io/resticprofile/configuration/http_hooks/. Profile and command are in the
address, or in the JSON of its `body-template`.
"""

from collections.abc import Sequence
from dataclasses import replace

from app.intake.dialects import restic
from app.intake.dialects.body_fields import as_text, first_text, read_json_body
from app.intake.dialects.make_event import make_event
from app.intake.dialects.script_output import RunIdentity
from app.intake.dialects.tool_request import NotUnderstood, ToolRequest
from app.intake.parse import WireEvent

TOOL = "resticprofile"
# The names in its environment and in its template's object, and how people shorten them.
_PROFILE = ("profile", "profileName", "ProfileName", "profile_name")
_COMMAND = ("command", "profileCommand", "ProfileCommand", "profile_command")
_EXIT_CODE = ("exit_code", "exitCode", "ExitCode", "error_exit_code")
_ERROR = ("error", "message", "Message", "Error")
_OUTPUT = ("stdout", "Stdout", "stderr", "Stderr", "error_stderr")
_ACTIVITIES = {
    "backup": "backup", "check": "verify", "forget": "prune", "prune": "prune", "retention": "prune", "copy": "replicate",
    "restore": "restore", "init": "admin",
}  # fmt: skip
_STATES = ("", "start", "fail", "finally")


def read(request: ToolRequest) -> Sequence[WireEvent]:
    """Return the event of one hook. Raises NotUnderstood for an address that ends in another word."""
    state = request.path[0] if request.path else ""
    if state not in _STATES:
        raise NotUnderstood(f"{state[:40]!r} is not a state of resticprofile")
    body = read_json_body(request)
    fields = {**body, **{name: value for name, value in request.query if value}}
    nested = fields.get("Error")
    if isinstance(nested, dict):
        fields = {**nested, **fields}
    command = (first_text(fields, _COMMAND) or "backup").lower()
    identity: RunIdentity = {
        "agent": request.query_value("agent") or request.query_value("host"),
        "job": request.query_value("job") or request.job or first_text(fields, _PROFILE) or TOOL,
        "activity": _ACTIVITIES.get(command, "other"),
    }
    if state == "start":
        return [make_event(TOOL, **identity, phase="started")]
    parts = [text for name in _OUTPUT if (text := as_text(fields.get(name)))]
    output = "\n".join(parts) if parts or body else request.text
    error = first_text(fields, _ERROR)
    if state == "finally" and request.is_cut and not first_text(fields, _EXIT_CODE):
        raise NotUnderstood("the body is incomplete: it ends before the exit code")
    # A failure without an exit code is one of resticprofile itself. `finally` comes after a failure too: what its body does not say, its
    # output must.
    code = first_text(fields, _EXIT_CODE) or ("1" if state == "fail" or error else "0")
    is_stated = state != "finally" or not fields.keys().isdisjoint((*_EXIT_CODE, *_ERROR))
    query = [
        ("activity", identity["activity"]),
        ("job", identity["job"]),
        *([("exit_code", code)] if is_stated else []),
    ]
    try:
        (event,) = restic.read(replace(request, query=query, body=output.encode("utf-8", "replace"), headers={}))
    except NotUnderstood as cause:
        raise NotUnderstood(str(cause), identity["job"]) from cause
    message = event.get("message")
    if error and event.get("outcome") != "success" and (not message or message.startswith("exit code")):
        message = error
    return [
        make_event(
            TOOL,
            **identity,
            phase="finished",
            outcome=event.get("outcome"),
            at=event.get("occurred_at"),
            message=message,
            log=event.get("log"),
            metrics=event.get("metrics"),
        )
    ]
