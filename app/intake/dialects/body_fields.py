"""Read a body as a JSON object or as a form, whatever its declared type. It never fails: other content has no fields."""

import email
import json
from collections.abc import Mapping
from email.message import Message
from itertools import islice
from typing import Any
from urllib.parse import parse_qsl

from app.domain.mail_bounds import exceeds_bounds
from app.intake.dialects.cut_texts import keep_beginning, note_cut
from app.intake.dialects.repeated_names import keep_last
from app.intake.dialects.text_decoding import decode_text
from app.intake.dialects.tool_request import ToolRequest
from app.intake.parse import parse_digits
from app.intake.sanitize import strip_escapes

MAX_JSON_LENGTH = 4 * 1024 * 1024
MAX_FORM_FIELDS, MAX_FORM_LENGTH = 100, 1024 * 1024


def parse_json_object(text: str, max_length: int = MAX_JSON_LENGTH) -> Mapping[str, Any]:
    """Return the JSON object; an empty one for anything else, and for a text of more than `max_length` characters."""
    if not text or len(text) > max_length:
        return {}
    try:
        # Templates put raw line ends into strings.
        value = json.loads(text, strict=False, parse_int=parse_digits, object_pairs_hook=keep_last)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def read_json_body(request: ToolRequest, max_length: int = MAX_JSON_LENGTH) -> Mapping[str, Any]:
    """Return the JSON object that the body is, or an empty one."""
    return parse_json_object(request.text, max_length) if request.body else {}


def read_form_body(request: ToolRequest) -> dict[str, str]:
    """Return the fields and files of a form as text: multipart, as `curl -F` sends it, or urlencoded."""
    content_type = request.headers.get("content-type", "")
    if content_type.lower().startswith("multipart/form-data"):
        return _parse_multipart(content_type, keep_beginning(request.body, MAX_FORM_LENGTH))
    text = first_fields(keep_beginning(request.text, MAX_FORM_LENGTH), MAX_FORM_FIELDS)
    return keep_last(parse_qsl(text, keep_blank_values=True, errors="replace"))


def first_fields(form: str, most: int) -> str:
    """Return the first fields of an urlencoded form."""
    pairs = form.split("&", most)
    if len(pairs) > most:
        note_cut()
    return "&".join(pairs[:most])


def _parse_multipart(content_type: str, body: bytes) -> dict[str, str]:
    try:
        header = b"Content-Type: " + content_type.encode("latin-1", "replace") + b"\r\n\r\n"
        if exceeds_bounds(header + body) is not None:
            return {}
        message = email.message_from_bytes(header + body)
        parts = message.get_payload() if message.is_multipart() else []
        fields: list[tuple[str, str]] = []
        for part in islice((part for part in parts if isinstance(part, Message)), MAX_FORM_FIELDS):
            name = part.get_param("name", header="content-disposition")
            value = part.get_payload(decode=True)
            if isinstance(name, str) and isinstance(value, bytes):
                fields.append((name, decode_text(value, part.get("content-type", ""))))
    except (RecursionError, ValueError, LookupError, TypeError, AttributeError, IndexError):
        return {}  # the library raises any of these for bodies that break the rules
    return keep_last(fields)


def as_text(value: object) -> str | None:
    """Return a JSON value as text if it is a string that is not empty, or a number."""
    if isinstance(value, str):
        return strip_escapes(value) or None
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def first_text(fields: Mapping[str, Any], names: tuple[str, ...]) -> str | None:
    """Return the first of the named fields that holds a text or a number."""
    return next((text for name in names if (text := as_text(fields.get(name)))), None)
