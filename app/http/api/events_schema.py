"""What the published schema says of POST /v1/events, whose body the framework never reads."""

from typing import Any

from app.domain.event import Activity, Phase, RunOutcome, Severity
from app.http.auth import SECURITY
from app.intake import fields


def _text(most: int | None, says: str, **more: Any) -> dict[str, Any]:  # noqa: ANN401
    return {"type": ["string", "null"], "description": says} | ({"maxLength": most} if most else {}) | more


def _word(words: type[Activity | Phase | RunOutcome | Severity], allowed: frozenset[str], says: str) -> dict[str, Any]:
    return {
        "type": ["string", "null"],
        "enum": [*(one.value for one in words if one.value in allowed), None],
        "description": says,
    }


_EVENT: dict[str, Any] = {
    "type": "object",
    "title": "Event",
    "properties": {
        "key": _text(
            fields.NAME_MOST,
            "Unique per agent: what is sent again under it counts once. Without it, the content is the key. None begins with `tocsin:`.",
        ),
        "agent": _text(fields.NAME_MOST, "Who reports. Needed with an enrolment key, which creates unknown agents."),
        "job": _text(fields.NAME_MOST, "What was backed up."),
        "run": _text(fields.NAME_MOST, "Which execution of the job; its events are put together by it."),
        "activity": _word(Activity, fields.ACTIVITIES, "What was done; `backup` if not said."),
        "phase": _word(Phase, fields.PHASES, "Where in its run the event stands; none for a plain message."),
        "outcome": _word(RunOutcome, fields.OUTCOMES, "How the run ended."),
        "severity": _word(Severity, fields.SEVERITIES, "How bad; by the outcome if not said."),
        "occurred_at": _text(
            None, "When it happened, with an offset; when we receive it if not said.", format="date-time"
        ),
        "message": _text(None, "One line for people; cut beyond 4 KiB."),
        "log": _text(None, "Long text; beyond 64 KiB its middle is left out."),
        "metrics": {
            "type": ["object", "null"],
            "maxProperties": fields.METRICS_MOST,
            "additionalProperties": {"type": "number"},
            "description": "bytes_processed, bytes_stored, files_processed, files_failed, duration_s, and any other number.",
        },
        "labels": {
            "type": ["object", "null"],
            "maxProperties": fields.LABELS_MOST,
            "additionalProperties": {"type": "string", "maxLength": fields.LABEL_VALUE_MOST},
            "description": "For routes, rules and silences to match.",
        },
        "extra": {"description": "Anything else; so is every field not named here. Kept up to 16 KiB, never judged."},
    },
    "additionalProperties": True,
    "examples": [
        {
            "key": "sql01/nightly-sql/2026-01-31",
            "agent": "sql01",
            "job": "nightly-sql",
            "phase": "finished",
            "outcome": "failure",
            "occurred_at": "2026-01-31T02:10:00+01:00",
            "message": "repository is locked",
            "metrics": {"bytes_processed": 1048576, "duration_s": 12.5},
            "labels": {"site": "berlin"},
        }
    ],
}
_REJECTED = {
    "type": "array",
    "items": {
        "type": "object",
        "required": ["index", "code", "detail"],
        "properties": {"index": {"type": "integer"}, "code": {"type": "string"}, "detail": {"type": "string"}},
    },
}
_ANSWER = {
    "type": "object",
    "required": ["accepted", "duplicates", "rejected"],
    "properties": {
        "accepted": {"type": "integer"},
        "duplicates": {"type": "integer"},
        "rejected": {**_REJECTED, "description": "At most 100 are shown."},
        "rejected_count": {"type": "integer", "description": "How many there are, if not all are shown."},
    },
}
_PROBLEM = {"application/problem+json": {"schema": {"type": "object"}}}
_REFUSALS = {
    "400": "The body cannot be read.",
    "401": "No key, or an unknown one.",
    "403": "The key is good, but not for this.",
    "413": "Too large, or too many events.",
    "415": "A media type or encoding that we do not read.",
    "422": "Every event is bad; `rejected` says why.",
    "503": "Not stored; try again after `Retry-After`.",
}

POST_EVENTS: dict[str, Any] = {
    "security": SECURITY,
    "parameters": [
        {
            "name": "Content-Encoding",
            "in": "header",
            "required": False,
            "schema": {"type": "string", "enum": ["gzip", "zstd", "identity"]},
        }
    ],
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {"schema": {"oneOf": [_EVENT, {"type": "array", "items": _EVENT}]}},
            "application/x-ndjson": {"schema": {"type": "string", "description": "One event a line."}},
        },
    },
    "responses": {
        "202": {"description": "Committed.", "content": {"application/json": {"schema": _ANSWER}}},
        **{status: {"description": says, "content": _PROBLEM} for status, says in _REFUSALS.items()},
    },
}
