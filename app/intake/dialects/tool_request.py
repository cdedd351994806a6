"""The request of a backup tool, received over HTTP or by mail, in one shape for every dialect. Nothing here depends on a tool."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from app.intake.dialects.text_decoding import decode_text
from app.intake.known_names import KnownNames
from app.intake.language.reader import states_trouble
from app.intake.parse import WireEvent

_GZIP = b"\x1f\x8b"


@dataclass(frozen=True, slots=True)
class ToolRequest:
    """One request, without its key.

    `path` holds the decoded parts of the address after the key, `query` the parameters in their order. Names in `headers` are in
    lower case. `body` is decompressed. `agent` and `job` are those that the key belongs to, if it belongs to one. `known_names` are those
    of the customer's agents and jobs. `is_cut`: the body broke off, so that what it says is not all.
    """

    method: str = "POST"
    path: Sequence[str] = ()
    query: Sequence[tuple[str, str]] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    job: str | None = None
    agent: str | None = None
    known_names: KnownNames = field(default_factory=KnownNames)
    is_cut: bool = False

    @property
    def size(self) -> int:
        """How much there is to read, in bytes."""
        texts = (*self.path, *self.headers.values(), *(text for pair in self.query for text in pair))
        return len(self.body) + sum(map(len, texts))

    def beginning(self, size: int) -> "ToolRequest":
        """Return the beginning of the body and of each text of the address, in about `size` bytes: cut, for there was more."""
        each = size // 8
        return replace(
            self,
            path=[part[:each] for part in self.path[:8]],
            query=[(name[:each], value[:each]) for name, value in self.query[:20]],
            headers={name: value[:each] for name, value in self.headers.items()},
            body=self.body[:size],
            is_cut=True,
        )

    def names_in(self, *texts: str) -> Sequence[str]:
        """Return the known names in texts whose words are to be read: words in a name tell no outcome, unless the name is one itself."""
        return [name for name in self.known_names.find_in("\n".join(texts)) if not states_trouble(name)]

    def query_value(self, name: str) -> str | None:
        """Return the first value of a query parameter; None if it is absent or empty."""
        return next((value for found, value in self.query if found == name and value), None)

    @property
    def text(self) -> str:
        """The body as text, whatever its character set."""
        return decode_text(self.body, self.headers.get("content-type", ""))

    @property
    def readable_text(self) -> str:
        """The body as text, for a tool that puts everything in it. Raises NotUnderstood if it is gzip that does not decompress."""
        if self.body.startswith(_GZIP):
            raise NotUnderstood("a compressed body that does not decompress")
        return self.text

    @property
    def content_hash(self) -> str:
        """A hash of the method and the body: equal if a tool that missed our answer sends the same request again."""
        return hashlib.sha256(self.method.encode() + b" " + self.body).hexdigest()


# A pure function from a request to events. It raises NotUnderstood for what it cannot read, and nothing else.
Dialect = Callable[[ToolRequest], Sequence[WireEvent]]


class NotUnderstood(Exception):
    """The request is not in this dialect. The text says why, for the administrator; `job` is the job it is about, if known."""

    def __init__(self, why: str, job: str | None = None) -> None:
        super().__init__(why)
        self.job = job
