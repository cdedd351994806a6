"""The script of a misbehaving SMTP server, and what it reports. Data only: the session plays it, the server keeps it."""

from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Behave:
    """What goes wrong, and where. Without arguments, nothing goes wrong.

    Places are CONNECT, EHLO, STARTTLS, AUTH, MAIL, RCPT, DATA (the command), BODY (amid the message), DOT (after the final
    dot), RSET, NOOP and QUIT. An answer that begins with 421 also closes the connection.
    """

    answers: dict[str, str] = field(default_factory=dict)
    """Place -> answer in place of the right one, such as `{"RCPT": "550 5.1.1 no such user"}`; not for BODY."""
    delays: dict[str, float] = field(default_factory=dict)
    """Place -> seconds before the answer. At DOT the message is kept before the delay."""
    hang_up: str | None = None
    """Place where the connection is closed without a reply. At BODY nothing is kept, at DOT the message is."""
    idle_close_s: float | None = None
    """Seconds without a command after which the server replies 421 and closes the connection."""
    max_messages: int | None = None
    """Messages per connection; the next MAIL gets 421 and the connection is closed."""


@dataclass(frozen=True, slots=True)
class Received:
    """A message that the server has accepted."""

    sender: str
    recipients: tuple[str, ...]
    data: bytes
    connection: int
    user: str | None
    is_encrypted: bool


class Owner(Protocol):
    """What a session asks of its server."""

    behave: Behave
    users: dict[str, str]
    tokens: dict[str, str]
    mechanisms: frozenset[str]
    pipelining: bool

    def note(self, connection: int, place: str) -> None:
        """Note that a connection reached a place."""

    def keep(self, message: Received) -> None:
        """Keep a message."""
