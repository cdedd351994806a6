"""A message: a worded notice for one recipient and one transport, and the states that it goes through.

`Message.to()` is the only way to change the state of a message; any move that is not listed here raises IllegalMove.

queued  -> leased            a worker or a relay claimed it
leased  -> sent              the transport accepted it, with evidence
        -> queued            temporary failure, or the lease expired before an attempt began
        -> unknown           the connection died after the point of no return, or the lease expired during an attempt
        -> dead              permanent failure, and no transport left
        -> moved             permanent failure here; the recipient's next transport has a successor
unknown -> leased            sent again, with the same Message-ID
queued | unknown -> dead | moved   too old, or it waited too long for its transport
sent | unknown | queued -> bounced   a notice came that it could not be delivered; it has a successor if the recipient has another transport
dead | bounced -> queued     an administrator asked for another try
unknown | queued | dead | moved | sent -> sent   a late or repeated receipt: it was sent after all. That is never undone.

Some statements move many rows at once, by conditions that allow only moves of this table: `lease` and `give_back` in
`store/outbox.py`, `lease_and_begin` and `settle_sent` in `store/outbox_at_once.py` (held by tests/unit/deliver/test_bulk_moves.py).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

from app.core.errors import IllegalMove
from app.domain.recipient import Address
from app.domain.transport_options import TransportOptions


class MessageState(StrEnum):
    """The state of a message, from when it was composed until it is settled."""

    QUEUED = "queued"
    LEASED = "leased"
    SENT = "sent"
    UNKNOWN = "unknown"
    DEAD = "dead"
    MOVED = "moved"
    BOUNCED = "bounced"


_S = MessageState
LEGAL_MOVES: frozenset[tuple[MessageState, MessageState]] = frozenset(
    {(_S.QUEUED, to) for to in (_S.LEASED, _S.DEAD, _S.MOVED, _S.SENT)}
    | {(_S.LEASED, to) for to in (_S.SENT, _S.QUEUED, _S.UNKNOWN, _S.DEAD, _S.MOVED)}
    | {(_S.UNKNOWN, to) for to in (_S.LEASED, _S.SENT, _S.DEAD, _S.MOVED)}
    | {(_S.DEAD, _S.QUEUED), (_S.DEAD, _S.SENT), (_S.MOVED, _S.SENT), (_S.SENT, _S.SENT)}
    | {(before, _S.BOUNCED) for before in (_S.SENT, _S.UNKNOWN, _S.QUEUED)}
    | {(_S.BOUNCED, _S.QUEUED)},
)
SETTLED_STATES = frozenset({_S.SENT, _S.DEAD, _S.MOVED, _S.BOUNCED})


@dataclass(frozen=True, slots=True)
class Parcel:
    """What a transport sends: finished bytes and their address. The bytes are the same at every attempt.

    `address` is a mail address (smtp, graph, mapi, file) or a URL or host (programs). `body` is a MIME message with CRLF line ends
    for mail transports, a JSON document for transports to programs. `options` are those of the recipient's address when the attempt
    begins; `ended` has the alerts of the document that were closed by then, with the time;
    `open_again`, those whose service another open alert has too, with the severity that counts. `envelope_sender` is where a mail that cannot be delivered comes back to
    (RFC 5321 section 4.1.1.2), for transports that can set it; None: the sender of the mail itself.
    """

    id: str
    recipient_id: str
    address: str
    message_id: str
    body: bytes
    envelope_sender: str | None = None
    options: TransportOptions | None = None
    ended: Mapping[str, datetime] = field(default_factory=dict)
    open_again: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Bodies:
    """The rendered bytes of a message, one body for each kind that the recipient's transports accept, so failover need not render again."""

    mail: bytes | None = None
    webhook: bytes | None = None

    def has(self, transport: str) -> bool:
        """Say whether there is a body that `transport` can send."""
        return (self.webhook if takes_json(transport) else self.mail) is not None


# They send the mail itself. All others go to a program, and send the JSON document or a request that they make of it.
_MAIL_TRANSPORTS = frozenset({"smtp", "graph", "mapi", "file"})
# Programs that keep the state of each alert: summaries mean nothing to them, and an end must reach them.
KEEPS_STATES = frozenset({"alertmanager", "pagerduty", "opsgenie", "syslog", "snmp", "icinga2", "nagios", "zabbix"})

# They keep one state for each service, not for each alert: the end of one alert must not hide another one that is open.
KEEPS_SERVICES = frozenset({"icinga2", "nagios", "zabbix"})


def takes_json(transport: str) -> bool:
    """Say whether a transport goes to a program and takes the JSON body; the others send the mail."""
    return transport not in _MAIL_TRANSPORTS


def takes_summaries(transport: str) -> bool:
    """Say whether a transport can send a summary; those to programs that keep the states of alerts cannot."""
    return transport not in KEEPS_STATES


@dataclass(frozen=True, slots=True)
class Message:
    """A worded notice for one recipient and one transport. Its bytes are in `Bodies`: they are long, and no decision needs them.

    `message_id` is the same for all successors. `move_on_at`: an alert that is not sent by then goes to the recipient's next
    transport, if there is one. `maybe_sent`: an attempt, of this message or of a predecessor, ended unknown. `attempts` counts
    those that ended. `relay_id`: the relay that leased it first, which alone can know what happened to it. `about_relay_id`: the relay
    whose trouble it reports; this relay sends it only if there is no other transport. `moved_why`: why its predecessor was moved; it stays
    when `why` changes.
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
    about_relay_id: str | None = None
    moved_why: str | None = None
    why: str | None = None
    settled_at: datetime | None = None

    def to(
        self,
        state: MessageState,
        now: datetime,
        *,
        why: str | None = None,
        due_at: datetime | None = None,
        moved_to: str | None = None,
    ) -> "Message":
        """Return the message in `state`, which ends its lease; raise IllegalMove where the table of moves does not allow it.

        `why` and `due_at` stay as they are where they are None. `moved_to` is the id of the successor, for MOVED and BOUNCED.
        """
        if (self.state, state) not in LEGAL_MOVES:
            raise IllegalMove(f"a message that is {self.state} cannot become {state}")
        if state is MessageState.LEASED:
            raise ValueError("only store/outbox.lease leases a message: a lease needs a token")
        return replace(
            self,
            state=state,
            why=self.why if why is None else why,
            due_at=self.due_at if due_at is None else due_at,
            moved_to=self.moved_to if moved_to is None else moved_to,
            settled_at=now if state in SETTLED_STATES else None,
            lease_token=None,
            lease_until=None,
            lease_holder=None,
        )

    def successor(self, successor_id: str, place: int, address: Address, now: datetime, why: str) -> "Message":
        """Return a new queued message with the same bytes for the recipient's transport at `place`, with the same time to be sent in."""
        return replace(
            self,
            id=successor_id,
            transport=address.transport,
            address=address.address,
            place=place,
            state=MessageState.QUEUED,
            created_at=now,
            due_at=now,
            move_on_at=now + (self.move_on_at - self.created_at),
            give_up_at=now + (self.give_up_at - self.created_at),
            attempts=0,
            lease_token=None,
            lease_until=None,
            lease_holder=None,
            moved_from=self.id,
            moved_to=None,
            relay_id=None,
            settled_at=None,
            why=why,
            moved_why=why,
        )
