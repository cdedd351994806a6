"""What a tool said over HTTP (or by mail), in one shape for every dialect. It must not know any tool."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from app.intake.dialects.text import text_of
from app.intake.parse import WireEvent

_GZIP = b"\x1f\x8b"


@dataclass(frozen=True, slots=True)
class ToolRequest:
    """One request, without its key.

    `path` holds the decoded parts of the address behind the key, `query` its parameters in their order, `headers` have small
    names, `body` is unpacked. `job` is the one that the key stands for, if it stands for one.
    """

    at: datetime
    method: str = "POST"
    path: Sequence[str] = ()
    query: Sequence[tuple[str, str]] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    job: str | None = None

    def asked(self, name: str) -> str | None:
        """Give the first value of a query parameter; None if it is absent or empty."""
        return next((value for found, value in self.query if found == name and value), None)

    @property
    def text(self) -> str:
        """Give the body as text, whatever its character set."""
        return text_of(self.body, self.headers.get("content-type", ""))

    @property
    def words(self) -> str:
        """Give the body as text, where a tool says all in it. Raises NotUnderstood for one that came packed and does not unpack."""
        if self.body.startswith(_GZIP):
            raise NotUnderstood("a packed body that does not unpack")
        return self.text

    @property
    def mark(self) -> str:
        """Name the request by its very bytes: a tool that did not hear our answer sends the same again."""
        return hashlib.sha256(self.method.encode() + b" " + self.body).hexdigest()


# Pure: from what was said to events in our words. It raises NotUnderstood for what it cannot read, and nothing else.
Dialect = Callable[[ToolRequest], Sequence[WireEvent]]


class NotUnderstood(Exception):
    """What was said is not in this dialect; the text says why, for the administrator. `job` is whose it is, if that could be read."""

    def __init__(self, why: str, job: str | None = None) -> None:
        super().__init__(why)
        self.job = job
