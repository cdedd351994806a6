"""Bounds what a body may hold, beyond its length: a few KiB may unpack to millions of parts, each an object in memory.

It reads bytes and values that were read already, and refuses; what an event means it must not know.
"""

from collections.abc import Mapping

from pydantic_core import to_json

from app.core.errors import TooLarge

# Far beyond 10 000 events with labels and metrics; about 0.3 s of reading, which every other request waits for.
OPENED_MOST = 500_000
COMMAS_MOST = 4_000_000
NESTED_MOST = 1000  # metrics or labels that are not even looked at; what is allowed is said in fields.py


def check_parts(data: bytes) -> None:
    """Refuse a body of too many arrays and objects, or values, before it is read. Raises TooLarge.

    Those within texts count as well: to tell them apart is to read the body.
    """
    if len(data) <= OPENED_MOST:
        return
    if data.count(b"[") + data.count(b"{") > OPENED_MOST:
        raise TooLarge(f"the body has more than {OPENED_MOST} of [ and {{; send it in parts")
    if data.count(b",") > COMMAS_MOST:
        raise TooLarge(f"the body has more than {COMMAS_MOST} commas; send it in parts")


def is_too_large(event: object, limit: int) -> bool:
    """Say whether an event of an array is larger than one alone may be.

    It is measured as it would be written anew, without needless spaces: where it lay in the body is not known.
    """
    return isinstance(event, Mapping) and len(to_json(event)) > limit


def too_many(event: object) -> str | None:
    """Name the field that holds far too many values, if one does: each would get a fault of its own, with a text."""
    if not isinstance(event, Mapping):
        return None
    held = ((field, event.get(field)) for field in ("metrics", "labels"))
    return next((field for field, values in held if isinstance(values, Mapping) and len(values) > NESTED_MOST), None)
