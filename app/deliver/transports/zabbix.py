"""The transport `zabbix`: values for trapper items, by the protocol of Zabbix' sender, with the answer read.

The server answers how many values it took: one that it did not take is no success, whatever else it says.
"""

import json
import re
import struct
from urllib.parse import urlsplit

import httpcore

from app.deliver.transports.check_state import check_state, item_key, service_alerts
from app.deliver.transports.document_alerts import BadDocument
from app.deliver.transports.evidence import evidence
from app.deliver.transports.program_socket import SocketExchange, exchange
from app.deliver.transports.public_only import PublicOnly
from app.domain.attempt import Outcome, Permanent, Sent, Temporary
from app.domain.message import Parcel
from app.domain.transport_options import ServiceNames, ZabbixOptions

PORT = 10051
_HEADER = struct.Struct("<4sBII")
_MAGIC, _PLAIN, _ANSWER_MOST = b"ZBXD", 1, 64 * 1024
_COUNTS = re.compile(r"processed: (\d+); failed: (\d+); total: (\d+)")


class ZabbixTransport:
    """Sends one value for each alert: its state as a number, 0 (OK) to 3 (unknown)."""

    def __init__(self, network: PublicOnly, timeout_s: float) -> None:
        self._network, self._timeout_s = network, timeout_s

    async def send(self, parcel: Parcel) -> Outcome:
        """Send all values at once."""
        url = urlsplit(parcel.address)
        try:
            body = _body(parcel)
        except BadDocument as cause:
            return Permanent("document", str(cause))
        data = _HEADER.pack(_MAGIC, _PLAIN, len(body), 0) + body
        what = SocketExchange(url.hostname or "", url.port or PORT, data, read=_read)
        return await exchange(self._network, what, written=Sent("written", ""), timeout_s=self._timeout_s)

    def preview(self, parcel: Parcel) -> str:
        """Return the document after the header."""
        return _body(parcel).decode()

    async def close(self) -> None:
        """Do nothing: no connection stays open."""


def _body(parcel: Parcel) -> bytes:
    options = parcel.options if isinstance(parcel.options, ZabbixOptions) else ZabbixOptions()
    values = {}
    for alert in service_alerts(parcel):
        names = ServiceNames(host=options.host, service="{kind}")
        state = check_state(alert, names)
        key = item_key(alert, options.key)
        values[state.host, key] = {"host": state.host, "key": key, "value": str(state.state)}
    return json.dumps({"request": "sender data", "data": list(values.values())}, ensure_ascii=False).encode()


async def _read(stream: httpcore.AsyncNetworkStream) -> Outcome:
    """Read the answer. Raises ValueError for what is none."""
    data = b""
    while len(data) < _HEADER.size or len(data) < _HEADER.size + _HEADER.unpack_from(data)[2]:
        piece = await stream.read(4096)
        data += piece
        if (
            not piece
            or len(data) > _ANSWER_MOST
            or (not (data + _MAGIC)[:4] == _MAGIC[: len(data)].ljust(4) and data[:4] != _MAGIC)
        ):
            raise ValueError("the answer is not from a Zabbix server")
    try:
        answer = json.loads(data[_HEADER.size :])
    except RecursionError:
        answer = None
    if not isinstance(answer, dict):
        raise ValueError("the answer is not from a Zabbix server")  # noqa: TRY004  (as for all else that is none)
    info = evidence(str(answer.get("info", "")))
    counts = _COUNTS.search(info)
    if answer.get("response") != "success" or counts is None:
        return Temporary("refused", info or evidence(str(answer.get("response"))))
    processed, failed, total = map(int, counts.groups())
    if failed or processed < total:
        words = f"{info}. Zabbix has no such host or trapper item, or does not take values from this address"
        return Temporary("items", words, is_hopeless_here=True)
    return Sent("accepted", info)
