"""Opens a body as a form, whatever it claims to be: multipart, as `curl -F` sends it, or urlencoded. It never fails: no form gives no fields."""

import email
from email.message import Message
from itertools import islice
from urllib.parse import parse_qsl

from app.intake.dialects.text import text_of
from app.intake.dialects.tool_request import ToolRequest

FIELDS_MOST, FORM_MOST = 100, 1024 * 1024


def form_of(said: ToolRequest) -> dict[str, str]:
    """Give the form's fields as text; files in it too."""
    kind = said.headers.get("content-type", "")
    if kind.lower().startswith("multipart/form-data"):
        return _parts(kind, said.body[:FORM_MOST])
    text = "&".join(said.text[:FORM_MOST].split("&")[:FIELDS_MOST])
    return dict(parse_qsl(text, keep_blank_values=True, errors="replace"))


def _parts(kind: str, body: bytes) -> dict[str, str]:
    try:
        whole = email.message_from_bytes(b"Content-Type: " + kind.encode("latin-1", "replace") + b"\r\n\r\n" + body)
        parts = whole.get_payload() if whole.is_multipart() else []
        found = {}
        for part in islice((part for part in parts if isinstance(part, Message)), FIELDS_MOST):
            name = part.get_param("name", header="content-disposition")
            value = part.get_payload(decode=True)
            if isinstance(name, str) and isinstance(value, bytes):
                found[name] = text_of(value, part.get("content-type", ""))
    except (RecursionError, ValueError, LookupError, TypeError, AttributeError, IndexError):
        return {}  # the library ends in any of these on bodies that break the rules
    return found
