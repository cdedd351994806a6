"""The transport `syslog`: one line an alert (RFC 5424) over TLS (RFC 5425), TCP with counted octets (RFC 6587) or UDP (RFC 5426).

Syslog has no acknowledgement. Over TLS and TCP `sent` means that the lines were written to the connection, over UDP that they were
handed to the network; the attempt says so.
"""

import asyncio
import platform
import ssl
from urllib.parse import urlsplit

import anyio
import httpcore

from app.deliver.transports.document_alerts import BadDocument, read_alerts
from app.deliver.transports.evidence import evidence
from app.deliver.transports.program_socket import SocketExchange, exchange
from app.deliver.transports.public_only import NotPublic, PublicOnly, Unresolved
from app.deliver.transports.syslog_line import syslog_line
from app.domain.attempt import Outcome, Permanent, Sent, Temporary
from app.domain.message import Parcel
from app.domain.transport_options import SyslogOptions

PORTS = {"tls": 6514, "tcp": 601, "udp": 514}
_MOST_TCP, _MOST_UDP = 8192, 2048  # rsyslog's usual limit; RFC 5426 section 3.2
_NO_ANSWER = "syslog has no acknowledgement"


class SyslogTransport:
    """Sends the alerts of each message to a syslog server, over a connection of its own."""

    def __init__(self, network: PublicOnly, timeout_s: float) -> None:
        self._network, self._timeout_s = network, timeout_s

    async def send(self, parcel: Parcel) -> Outcome:
        """Write all lines at once."""
        url = urlsplit(parcel.address)
        port = url.port or PORTS[url.scheme]
        try:
            lines = self._lines(parcel)
        except BadDocument as cause:
            return Permanent("document", str(cause))
        host, options = url.hostname or "", _options(parcel)
        if url.scheme == "udp":
            return await self._send_datagrams(host, port, lines)
        try:
            tls = ssl.create_default_context(cadata=options.ca_certificate) if url.scheme == "tls" else None
        except ssl.SSLError:
            return Permanent("certificate", "ca_certificate is no certificate in PEM form")
        data = b"".join(b"%d %s" % (len(line), line) for line in lines)
        done = Sent("written", f"{len(lines)} line(s) written to {url.scheme}://{host}:{port}; {_NO_ANSWER}")
        return await exchange(
            self._network, SocketExchange(host, port, data, tls), written=done, timeout_s=self._timeout_s
        )

    def preview(self, parcel: Parcel) -> str:
        """Return the lines."""
        return "\n".join(line.decode() for line in self._lines(parcel))

    async def close(self) -> None:
        """Do nothing: no connection stays open."""

    def _lines(self, parcel: Parcel) -> list[bytes]:
        most = _MOST_UDP if parcel.address.startswith("udp:") else _MOST_TCP
        host, facility = platform.node(), _options(parcel).facility
        alerts = read_alerts(parcel.body, parcel.ended)
        return [syslog_line(alert, facility=facility, host=host, most=most) for alert in alerts]

    async def _send_datagrams(self, host: str, port: int, lines: list[bytes]) -> Outcome:
        try:
            with anyio.fail_after(self._timeout_s):
                [address, *_] = await self._network.look_up(host, port, self._timeout_s)
                loop = asyncio.get_running_loop()
                endpoint, _ = await loop.create_datagram_endpoint(
                    asyncio.DatagramProtocol, remote_addr=(str(address), port)
                )
                for line in lines:
                    endpoint.sendto(line)
                endpoint.close()
        except NotPublic as cause:
            return Permanent("address", evidence(str(cause)))
        except (Unresolved, httpcore.ConnectError, TimeoutError, OSError) as cause:
            return Temporary("network", evidence(str(cause) or type(cause).__name__))
        return Sent("network", f"{len(lines)} line(s) handed to the network for {host}:{port}; {_NO_ANSWER}")


def _options(parcel: Parcel) -> SyslogOptions:
    return parcel.options if isinstance(parcel.options, SyslogOptions) else SyslogOptions()
