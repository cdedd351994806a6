"""The transport `smtp` (RFC 5321): sends mail over one mail server, or over several in order.

Outcomes: Temporary before the final dot, Unknown if no reply comes after it, otherwise as `smtp_refusals` reads the reply. A server
that cannot be reached, or that refuses the login or another of our settings, is Temporary, whatever its reply: mail waits until
that is repaired.
"""

import asyncio
import re
from dataclasses import dataclass, replace
from typing import Self

from app.core.errors import BadSettings
from app.core.mail_address import ascii_domain, split_address
from app.core.settings import Settings
from app.deliver.transport import cancelled_is_unsent
from app.deliver.transports.dkim_signer import DkimSigner
from app.deliver.transports.smtp_connect import NoGreetingYet, SmtpAccess, read_accesses
from app.deliver.transports.smtp_server_pool import Envelope, SmtpServerPool
from app.deliver.transports.smtp_transaction import with_line_ends
from app.domain.attempt import Outcome, Permanent, Temporary
from app.domain.message import Parcel

SKIP_S = (
    60.0  # for which a failed server is skipped, or each mail would wait for its time-out; then one mail tries it again
)
# For which a server may take to greet us before the next one is tried: servers that let strangers wait do so for 6 s (postscreen).
PATIENCE_S = 8.0
_ADDRESS = re.compile(r'[^\s<>@"\x00-\x1f\x7f]+@[^\s<>@"\x00-\x1f\x7f]+')
_OF_ONE_DOMAIN = frozenset({"relay", "sender_dns"})  # the server may still take mail to other domains
_NOT_REACHED = frozenset({"connect", "tls", "auth", "token", "timeout", "disconnect", "421"})


@dataclass(slots=True)
class _Server:
    """A server, and until when it is skipped (loop time)."""

    pool: SmtpServerPool
    skipped_until: float = 0.0


class SmtpTransport:
    """Sends mail. Many tasks may send at once. The first server is used as long as it works; after a failure the next one is used."""

    def __init__(
        self,
        accesses: tuple[SmtpAccess, ...],
        sender: str,
        connections: int,
        messages_per_connection: int,
        signer: DkimSigner | None = None,
    ) -> None:
        self._servers = [_Server(SmtpServerPool(access, connections, messages_per_connection)) for access in accesses]
        self._sender = sender
        self._signer = signer

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """Create it from the settings. Raises BadSettings with the name of the wrong setting."""
        sender = ascii_domain(split_address(settings.mail_from)[1])
        if sender is None or not _ADDRESS.fullmatch(sender):
            raise BadSettings("TOCSIN_MAIL_FROM: must contain a mail address, such as Tocsin <tocsin@example.org>")
        accesses = read_accesses(settings)
        connections, messages = settings.smtp_connections, settings.smtp_messages_per_connection
        return cls(accesses, sender, connections, messages, DkimSigner.from_settings(settings))

    async def send(self, parcel: Parcel) -> Outcome:
        """Send by the first server that can; return its outcome, or that of the first one where none can."""
        recipient = ascii_domain(parcel.address)
        if recipient is None or not _ADDRESS.fullmatch(recipient):
            return Permanent("address", "is not a mail address that SMTP can carry")
        body = parcel.body
        if self._signer is not None:
            with cancelled_is_unsent():  # in a thread: it takes milliseconds, which would hold up every other mail
                body = await asyncio.to_thread(self._signer.sign, with_line_ends(body))
        envelope = Envelope(parcel.id, self._sender, parcel.envelope_sender, recipient, body)
        failed: list[tuple[_Server, Temporary]] = []
        order = self._in_order()
        tries: list[tuple[_Server, float | None]] = [(server, PATIENCE_S) for server in order[:-1]]
        tries.append((order[-1], None))
        for server, patience_s in tries:
            outcome = await server.pool.send(envelope, patience_s)
            if not isinstance(outcome, Temporary) or not _may_another_server_help(outcome):
                server.skipped_until = 0.0
                return self._with_servers(outcome, server, failed)
            if isinstance(
                outcome, NoGreetingYet
            ):  # it may only be slow: with its whole time-out if no other server can
                tries.append((server, None))
            failed = [one for one in failed if one[0] is not server] + [(server, outcome)]
            if outcome.code not in _OF_ONE_DOMAIN:
                server.skipped_until = asyncio.get_running_loop().time() + SKIP_S
        failed.sort(key=lambda one: self._servers.index(one[0]))
        return self._with_servers(failed[0][1], failed[0][0], failed[1:])

    async def close(self) -> None:
        """Close the connections of every server."""
        await asyncio.gather(*(server.pool.close() for server in self._servers))

    def _in_order(self) -> list[_Server]:
        """Return the servers in the order in which this mail tries them: those that failed a moment ago come last."""
        now = asyncio.get_running_loop().time()
        working = [server for server in self._servers if server.skipped_until <= now]
        for server in working:
            if server.skipped_until:  # this mail tries it again; those that come meanwhile do not wait for its time-out
                server.skipped_until = now + SKIP_S
        return working + [server for server in self._servers if server not in working]

    def _with_servers(self, outcome: Outcome, by: _Server, failed: list[tuple[_Server, Temporary]]) -> Outcome:
        """Name the server in the evidence, and those that failed before it, if there are several. The first line stays the server's own words."""
        if len(self._servers) == 1:
            return outcome
        lines = [outcome.text, f"by {by.pool.access.server.address}"]
        lines += [
            f"not by {server.pool.access.server.address}: {other.code} {other.text.partition(chr(10))[0]}"
            for server, other in failed
        ]
        return replace(outcome, text="\n".join(lines)[:2048])


def _may_another_server_help(outcome: Temporary) -> bool:
    """Say whether the server could not be reached or refuses us; not if it judged the mail or its recipient, or asked us to wait."""
    is_refused_at_once = outcome.code.startswith("5")  # a 5xx greeting: any other 5xx is permanent, or has a cause
    return outcome.is_hopeless_here or is_refused_at_once or outcome.code in _NOT_REACHED
