"""Every error as RFC 9457 problem+json with a stable code. It decides no status of its own: the error tree does."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from app.core.errors import NotAllowed, TocsinError, WrongScope, WrongType

MEDIA_TYPE = "application/problem+json"
_HTTP_CODES = {404: "not_found", 405: "wrong_method", 413: "too_large", 415: "wrong_type"}
# Pydantic's own names change with its versions; ours do not.
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
_ENDINGS = (
    ("_too_long", "too_long"),
    ("too_long", "too_long"),
    ("too_short", "too_short"),
    ("_type", "wrong_kind"),
    ("_parsing", "wrong_kind"),
)


def problem(
    status: int, code: str, detail: str, *, headers: Mapping[str, str] | None = None, **more: object
) -> Response:
    """Make the answer. `more` are extension members, such as `field` or `rejected`; those that are None are left out."""
    body = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "code": code, "detail": detail}
    body |= {name: value for name, value in more.items() if value is not None}
    return JSONResponse(body, status, headers, MEDIA_TYPE)


def problem_of(error: TocsinError) -> Response:
    """Word one of our errors."""
    return problem(error.status, error.code, error.detail, headers=_headers_of(error), field=error.field)


def _headers_of(error: TocsinError) -> dict[str, str]:
    retry_after = getattr(error, "retry_after", None)
    if retry_after is not None:
        return {"Retry-After": str(retry_after)}
    if isinstance(error, NotAllowed) and not isinstance(error, WrongScope):
        return {"WWW-Authenticate": 'Bearer realm="tocsin"'}
    if isinstance(error, WrongType):
        return {"Accept-Encoding": "gzip, zstd"}  # RFC 9110, 15.5.16
    return {}


def code_of(kind: str) -> str:
    """Give our stable code for one of Pydantic's error types."""
    if kind in _CODES:
        return _CODES[kind]
    if kind.startswith(("greater_than", "less_than")):
        return "out_of_range"
    return next((code for ending, code in _ENDINGS if kind.endswith(ending)), "bad_value")


def field_of(place: Sequence[str | int]) -> str | None:
    """Name a field as people write it: `transports[0].address`."""
    parts = place[1:] if place and place[0] in ("body", "query", "path", "header") else place
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in parts).lstrip(".")
    return text or None


def install(app: FastAPI) -> None:
    """Let the app answer every error as a problem."""
    app.add_exception_handler(TocsinError, _tocsin)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)


async def _tocsin(_request: Request, error: Exception) -> Response:
    assert isinstance(error, TocsinError)  # noqa: S101  (for mypy: the framework types all as Exception)
    return problem_of(error)


async def _http(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101
    detail = "there is nothing at this address" if error.status_code == HTTPStatus.NOT_FOUND else str(error.detail)
    code = _HTTP_CODES.get(error.status_code, "refused")
    return problem(error.status_code, code, detail, headers=error.headers)


async def _invalid(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101
    errors = [_one(e) for e in error.errors()]
    first = errors[0]
    if first["code"] == "malformed_body":
        return problem(400, "malformed_body", str(first["detail"]))
    return problem(422, "bad_input", str(first["detail"]), field=first["field"], errors=errors)


def _one(error: Mapping[str, Any]) -> dict[str, str | None]:
    """One field's fault. What was sent is left out: it may be a password."""
    if error["type"] == "json_invalid":
        return {"field": None, "code": "malformed_body", "detail": "the body is not JSON"}
    field = field_of(error["loc"])
    cause = error.get("ctx", {}).get("error")
    code = cause.code if isinstance(cause, TocsinError) else code_of(error["type"])
    detail = str(error["msg"]).removeprefix("Value error, ")
    return {"field": field, "code": code, "detail": f"{field}: {detail}" if field else detail}
