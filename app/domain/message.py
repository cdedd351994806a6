"""A message's states, the moves between them, and what a transport needs of it. Any other move is a defect.

queued  -> leased            a worker or a relay claimed it
leased  -> sent              the transport took it, with evidence
        -> queued            temporary failure, or the lease ran out before an attempt began
        -> unknown           the line died after the point of no return, or the lease ran out during an attempt
        -> dead              permanent failure, and no transport left
        -> moved             permanent failure here; the recipient's next transport has its successor
unknown -> leased            sent again, under the same Message-ID
queued | unknown -> dead | moved   too old, or waited too long for its transport
dead    -> queued            an administrator asked for another try
unknown | queued | dead | moved | sent -> sent   a late or repeated receipt: it was sent after all. A fact is never undone.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from app.core.errors import IllegalMove


class MessageState(StrEnum):
    """Where a message is between being worded and being settled."""

    QUEUED = "queued"
    LEASED = "leased"
    SENT = "sent"
    UNKNOWN = "unknown"
    DEAD = "dead"
    MOVED = "moved"


_S = MessageState
LEGAL_MOVES: frozenset[tuple[MessageState, MessageState]] = frozenset(
    {(_S.QUEUED, to) for to in (_S.LEASED, _S.DEAD, _S.MOVED, _S.SENT)}
    | {(_S.LEASED, to) for to in (_S.SENT, _S.QUEUED, _S.UNKNOWN, _S.DEAD, _S.MOVED)}
    | {(_S.UNKNOWN, to) for to in (_S.LEASED, _S.SENT, _S.DEAD, _S.MOVED)}
    | {(_S.DEAD, _S.QUEUED), (_S.DEAD, _S.SENT), (_S.MOVED, _S.SENT), (_S.SENT, _S.SENT)},
)


def check_move(before: MessageState, after: MessageState) -> None:
    """Raise IllegalMove unless a message in `before` may become `after`."""
    if (before, after) not in LEGAL_MOVES:
        raise IllegalMove(f"a message that is {before} cannot become {after}")


@dataclass(frozen=True, slots=True)
class Parcel:
    """What a transport is given: finished bytes and where they go. The same bytes at every attempt.

    `address` is a mail address (smtp, mapi, file) or a URL (webhook). `body` is a MIME message with CRLF line ends for
    mail transports, a JSON document for webhooks.
    """

    id: str
    recipient_id: str
    address: str
    message_id: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Bodies:
    """A message's finished bytes, one for each kind that the recipient's transports take, so that failover needs no new wording."""

    mail: bytes | None = None
    webhook: bytes | None = None

    def has(self, transport: str) -> bool:
        """Say whether `transport` could carry this."""
        return (self.webhook if takes_json(transport) else self.mail) is not None


def takes_json(transport: str) -> bool:
    """Say whether a transport takes the JSON body; all others take the mail."""
    return transport == "webhook"


@dataclass(frozen=True, slots=True)
class Message:
    """A worded notice on its way: one recipient, one transport. Its bytes are elsewhere (Bodies): they are long, and no decision needs them.

    `message_id` is the same for all successors. `move_on_at`: an alert that has not left by then goes to the recipient's next
    transport, if there is one. `maybe_sent`: an attempt, here or by a predecessor, ended unknown. `attempts` counts those that ended. `relay_id`: the relay that had it
    first, which alone can know what became of it.
    """

    id: str
    recipient_id: str
    transport: str
    place: int
    address: str
    urgency: int
    is_alert: bool
    subject: str
    message_id: str
    created_at: datetime
    due_at: datetime
    move_on_at: datetime
    give_up_at: datetime
    customer_id: str | None = None
    state: MessageState = MessageState.QUEUED
    attempts: int = 0
    lease_token: str | None = None
    lease_until: datetime | None = None
    lease_holder: str | None = None
    maybe_sent: bool = False
    moved_to: str | None = None
    moved_from: str | None = None
    relay_id: str | None = None
    why: str | None = None
    settled_at: datetime | None = None
