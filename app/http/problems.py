"""Answers errors as RFC 9457 `application/problem+json` with a stable code, and people's browsers with a page. The status comes from the error tree (core/errors.py)."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from app.core.errors import NotAllowed, TocsinError, WrongScope, WrongType

MEDIA_TYPE = "application/problem+json"
_HTTP_CODES = {
    400: "malformed_body",
    408: "body_slow",
    404: "not_found",
    405: "wrong_method",
    413: "too_large",
    415: "wrong_type",
}
# Pydantic's names of errors change with its versions; our codes must not.
_CODES = {
    "missing": "missing",
    "extra_forbidden": "unknown_field",
    "enum": "not_one_of",
    "literal_error": "not_one_of",
    "json_invalid": "malformed_body",
    "string_pattern_mismatch": "bad_form",
    "timezone_aware": "no_offset",
    "finite_number": "out_of_range",
    "multiple_of": "out_of_range",
}
_CODES_BY_ENDING = (
    ("_too_long", "too_long"),
    ("too_long", "too_long"),
    ("too_short", "too_short"),
    ("_type", "wrong_kind"),
    ("_parsing", "wrong_kind"),
)
# Returns the page for an error; None for a request that gets a problem.
ErrorPage = Callable[[Request, Exception], Awaitable[Response | None]]


def problem(
    status: int, code: str, detail: str, *, headers: Mapping[str, str] | None = None, **extensions: object
) -> Response:
    """Make a problem answer. `extensions` are further members, such as `field` or `rejected`; None leaves one out."""
    body = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "code": code, "detail": detail}
    body |= {name: value for name, value in extensions.items() if value is not None}
    return JSONResponse(body, status, headers, MEDIA_TYPE)


def is_expected(error: Exception) -> bool:
    """Return whether an error is an answer to the client, and not a bug of ours."""
    return isinstance(error, TocsinError | HTTPException | RequestValidationError)


def response_for(error: Exception) -> Response:
    """Return the problem for any error. The cause of one that is not expected is not shown: it is for the log only."""
    match error:
        case TocsinError():
            return problem(error.status, error.code, error.detail, headers=_headers_for(error), field=error.field)
        case HTTPException(status_code=404):
            return problem(404, "not_found", "there is nothing at this address", headers=error.headers)
        case HTTPException():
            code = _HTTP_CODES.get(error.status_code, "refused")
            return problem(error.status_code, code, str(error.detail), headers=error.headers)
        case RequestValidationError():
            errors = [_field_error(found) for found in error.errors()]
            first = errors[0]
            if first["code"] == "malformed_body":
                return problem(400, "malformed_body", str(first["detail"]))
            return problem(422, "bad_input", str(first["detail"]), field=first["field"], errors=errors)
        case _:
            return problem(500, "defect", "something went wrong on our side; the log has the cause")


async def answer(request: Request, error: Exception) -> Response:
    """Return the answer to a request that failed: a page for a person's browser at an address of pages, else a problem."""
    find_page: ErrorPage | None = getattr(request.app.state, "error_page", None)  # none before the pages are loaded
    page = None if find_page is None else await find_page(request, error)
    return response_for(error) if page is None else page


def install(app: FastAPI) -> None:
    """Make a FastAPI app answer every error as a page or as a problem."""
    for kind in (TocsinError, RequestValidationError, HTTPException, Exception):
        app.add_exception_handler(kind, answer)


def code_of(error_type: str) -> str:
    """Return our stable code for one of Pydantic's error types."""
    if error_type in _CODES:
        return _CODES[error_type]
    if error_type.startswith(("greater_than", "less_than")):
        return "out_of_range"
    return next((code for ending, code in _CODES_BY_ENDING if error_type.endswith(ending)), "bad_value")


def field_of(location: Sequence[str | int]) -> str | None:
    """Return a field's path as people write it: `transports[0].address`."""
    parts = location[1:] if location and location[0] in ("body", "query", "path", "header") else location
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in parts).lstrip(".")
    return text or None


def _headers_for(error: TocsinError) -> dict[str, str]:
    retry_after = getattr(error, "retry_after", None)
    if retry_after is not None:
        return {"Retry-After": str(retry_after)}
    if isinstance(error, NotAllowed) and not isinstance(error, WrongScope):
        return {"WWW-Authenticate": 'Bearer realm="tocsin"'}
    if isinstance(error, WrongType):
        return {"Accept-Encoding": "gzip, zstd"}  # RFC 9110, section 15.5.16
    return {}


def _field_error(error: Mapping[str, Any]) -> dict[str, str | None]:
    """Describe the error of one field. The value that was sent is left out: it may be a password."""
    if error["type"] == "json_invalid":
        return {"field": None, "code": "malformed_body", "detail": "the body is not JSON"}
    field = field_of(error["loc"])
    cause = error.get("ctx", {}).get("error")
    code = cause.code if isinstance(cause, TocsinError) else code_of(error["type"])
    detail = str(error["msg"]).removeprefix("Value error, ")
    return {"field": field, "code": code, "detail": f"{field}: {detail}" if field else detail}
