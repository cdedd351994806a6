"""The connections to one SMTP server: a limited number, kept open and used again; and the pauses after it refused us."""

import asyncio
from dataclasses import dataclass, replace
from datetime import timedelta

from app.core.log import log
from app.deliver.transport import cancelled_is_unsent
from app.deliver.transports.smtp_connect import NoGreetingYet, SmtpAccess, open_session
from app.deliver.transports.smtp_session import SmtpSession
from app.deliver.transports.smtp_transaction import ConnectionState, SendResult, transmit
from app.domain.attempt import Outcome, Temporary

IDLE_S = 60.0  # servers close idle connections after minutes; firewalls drop them earlier and without notice
AUTH_PAUSE_S = (
    30.0  # after a refused login or setting: trying it with each of a hundred waiting messages could lock the account
)
NO_PIPELINING_S = 900.0  # after a new connection broke during a mail: some firewalls drop all but the first command
PLAIN_SENDER_S = 3600.0  # after the server refused an envelope sender of our own
SENDER_REFUSED = "sent without its own bounce address, which the server refused:"
_MOST_PAUSES = 100
_EVERYTHING, _OPENING = "*", "+"  # no domain is called so


@dataclass(frozen=True, slots=True)
class Envelope:
    """One mail as it is handed to a server: addresses with ASCII domains, and the bytes.

    `own_sender` is the envelope sender of this mail alone, by which we learn of mails that come back.
    """

    id: str
    sender: str
    own_sender: str | None
    recipient: str
    body: bytes

    @property
    def domain(self) -> str:
        """The recipient's domain."""
        return self.recipient.rpartition("@")[2].lower()


@dataclass(slots=True)
class _PooledConnection:
    """An open connection: how many messages it carried, since when it is idle (loop time), and whether it needs RSET first."""

    session: SmtpSession
    carried: int = 0
    idle_since: float = 0.0
    needs_reset: bool = False


class SmtpServerPool:
    """Sends over one server. Many tasks may send at once; `connections` of them are served at a time, the others wait."""

    def __init__(self, access: SmtpAccess, connections: int, messages_per_connection: int) -> None:
        self.access = access
        self._per_connection = messages_per_connection
        self._slots = asyncio.Semaphore(connections)
        self._idle: list[_PooledConnection] = []  # the last one used is taken first, so that the others may time out
        self._pauses: dict[str, tuple[Temporary, float]] = {}  # by the recipients' domain, _EVERYTHING or _OPENING
        self._sending = 0  # connections that carry a mail now
        self._not_reached: tuple[Temporary, float] | None = None  # the last time, and when (loop time)
        self._no_pipelining_until = 0.0
        self._plain_sender_until = 0.0

    async def send(self, envelope: Envelope, patience_s: float | None = None) -> Outcome:
        """Send one mail. If the server refuses its own envelope sender, send it with the sender of all mails.

        `patience_s`: how long a new connection may take where another server could send it instead (`open_session`).
        Servers that let a login use only its own addresses refuse it. A setting that only serves to learn of mails that come
        back must not keep an alert from being sent.
        """
        now = asyncio.get_running_loop().time
        if envelope.own_sender is not None and now() >= self._plain_sender_until:
            result = await self._send(envelope, envelope.own_sender, patience_s)
            if not result.is_sender_refused:
                return result.outcome
            refused = result.outcome.text
            log.warning("the mail server refuses our bounce address; mails go without it", answer=refused)
            self._plain_sender_until = now() + PLAIN_SENDER_S
            outcome = (await self._send(envelope, envelope.sender, patience_s)).outcome
            return replace(outcome, text=f"{outcome.text}\n{SENDER_REFUSED} {refused}")
        return (await self._send(envelope, envelope.sender, patience_s)).outcome

    async def _send(self, envelope: Envelope, sender: str, patience_s: float | None) -> SendResult:
        """Send over an idle connection or a new one. If the idle one turns out to be dead, send over a new one."""
        asked_at = asyncio.get_running_loop().time()
        with cancelled_is_unsent():
            await self._slots.acquire()
        try:
            if (refused := self._refused_just_now(_EVERYTHING, envelope.domain)) is not None:
                return SendResult(refused, ConnectionState.UNUSABLE)
            with cancelled_is_unsent():
                pooled = await self._take_idle()
            if pooled is not None:
                result = await self._send_over(pooled, envelope, sender)
                if result.connection is not ConnectionState.LOST:
                    return result
                asked_at = asyncio.get_running_loop().time()  # its own idle connection says nothing of a new one
            with cancelled_is_unsent():
                opened = self._failed_meanwhile(asked_at, patience_s) or await self._open(patience_s)
            if isinstance(opened, Temporary):
                return SendResult(opened, ConnectionState.UNUSABLE)
            result = await self._send_over(opened, envelope, sender)
            if result.connection is ConnectionState.LOST:
                self._no_pipelining_until = asyncio.get_running_loop().time() + NO_PIPELINING_S
            return result
        finally:
            self._slots.release()

    async def close(self) -> None:
        """Send QUIT on every idle connection and close it; a connection in use is closed when its message has ended."""
        idle, self._idle = self._idle, []
        self._per_connection = 0
        await asyncio.gather(*(pooled.session.quit() for pooled in idle))

    async def _take_idle(self) -> _PooledConnection | None:
        """Return the connection that was used last and is still usable."""
        now = asyncio.get_running_loop().time()
        while self._idle:
            pooled = self._idle.pop()
            if not pooled.session.is_usable or now - pooled.idle_since > IDLE_S:
                pooled.session.abort()
            elif not pooled.needs_reset or await pooled.session.reset():
                pooled.needs_reset = False
                return pooled
        return None

    def _failed_meanwhile(self, asked_at: float, patience_s: float | None) -> Temporary | None:
        """Return why the server could not be reached while a mail waited for its turn.

        Otherwise each mail that waits for a server that accepts connections and never answers would wait for a time-out of its own,
        after those of the mails before it. Where there is no other server, a connection that works shows that the next one may, too.
        """
        if self._not_reached is None or self._not_reached[1] < asked_at:
            return None
        failed = self._not_reached[0]
        if patience_s is None and (self._sending or isinstance(failed, NoGreetingYet)):
            return None
        return failed

    async def _open(self, patience_s: float | None) -> _PooledConnection | Temporary:
        # Connections that are open already go on: the server may have changed its mind only about new ones.
        if (refused := self._refused_just_now(_OPENING)) is not None:
            return refused
        opened = await open_session(self.access, patience_s)
        if isinstance(opened, Temporary):
            self._not_reached = opened, asyncio.get_running_loop().time()
            if opened.is_hopeless_here or opened.code == "auth":
                self._pause(_OPENING, opened)
            return opened
        if asyncio.get_running_loop().time() < self._no_pipelining_until:
            opened.extensions -= {"pipelining"}
        return _PooledConnection(opened)

    def _refused_just_now(self, *scopes: str) -> Temporary | None:
        """Return what the server answered a moment ago in one of the scopes: it would answer the same now."""
        now = asyncio.get_running_loop().time()
        for scope in scopes:
            found = self._pauses.get(scope)
            if found is not None and now < found[1]:
                refused, until = found
                wait = timedelta(seconds=until - now)
                return replace(refused, retry_after=max(wait, refused.retry_after or wait))
            self._pauses.pop(scope, None)
        return None

    def _pause(self, scope: str, refused: Temporary) -> None:
        if len(self._pauses) >= _MOST_PAUSES:  # the oldest: a pause costs at most one more refusal
            del self._pauses[next(iter(self._pauses))]
        self._pauses[scope] = (refused, asyncio.get_running_loop().time() + AUTH_PAUSE_S)

    def _note(self, result: SendResult, envelope: Envelope) -> None:
        """Note that the server refuses us, so that the next mails do not ask it the same for a while."""
        if isinstance(result.outcome, Temporary) and result.outcome.is_hopeless_here:
            self._pause(_EVERYTHING if result.concerns_all_mail else envelope.domain, result.outcome)

    async def _send_over(self, pooled: _PooledConnection, envelope: Envelope, sender: str) -> SendResult:
        """Send, and keep the connection unless it is dead, in doubt or used up.

        Nothing is awaited once the result is there: a cancellation could lose it, and a mail that was sent would be sent again.
        """
        state = ConnectionState.UNUSABLE
        self._sending += 1
        try:
            result = await transmit(
                pooled.session,
                sender,
                envelope.recipient,
                envelope.body,
                self.access.timeout_s,
                envelope_id=envelope.id,
            )
            state = result.connection
            if isinstance(result.outcome, Temporary) and result.outcome.code == "timeout":
                self._not_reached = result.outcome, asyncio.get_running_loop().time()
            if not (result.is_sender_refused and sender == envelope.own_sender):  # else it is sent with another sender
                self._note(result, envelope)
        finally:  # if it was cancelled, nobody knows which command the server expects next
            self._sending -= 1
            if state in (ConnectionState.LOST, ConnectionState.UNUSABLE):
                pooled.session.abort()
            else:
                pooled.carried += 1
                pooled.needs_reset = state is ConnectionState.NEEDS_RESET
                pooled.idle_since = asyncio.get_running_loop().time()
                if pooled.carried < self._per_connection:
                    self._idle.append(pooled)
                else:
                    pooled.session.quit_without_reply()
        return result
