"""The transport `snmp`: a notification for each change of an alert, as trap or inform, of version 2c or 3 (`pysnmp`, the extra `tocsin[snmp]`).

A trap has no answer: `sent` means that it was handed to the network. An inform is answered, and without an answer it is sent again.
"""

import asyncio
from collections.abc import Sequence
from urllib.parse import urlsplit

import httpcore
from pysnmp.hlapi.v3arch.asyncio import (  # type: ignore[import-untyped]
    CommunityData,
    ContextData,
    NotificationType,
    ObjectIdentity,
    ObjectType,
    OctetString,
    SnmpEngine,
    Udp6TransportTarget,
    UdpTransportTarget,
    UsmUserData,
    send_notification,
    usmAesCfb128Protocol,
    usmAesCfb256Protocol,
    usmHMAC192SHA256AuthProtocol,
    usmHMAC384SHA512AuthProtocol,
    usmHMACSHAAuthProtocol,
)

from app.deliver.transports.document_alerts import BadDocument, DocumentAlert, read_alerts
from app.deliver.transports.evidence import evidence
from app.deliver.transports.public_only import NotPublic, PublicOnly, Unresolved
from app.deliver.transports.snmp_objects import objects_of
from app.deliver.transports.unsealing import Unseal, wrong_secret
from app.domain.attempt import Outcome, Permanent, Sent, Temporary
from app.domain.message import Parcel
from app.domain.transport_options import SnmpOptions

PORT = 162
_AUTH = {
    "sha": usmHMACSHAAuthProtocol,
    "sha256": usmHMAC192SHA256AuthProtocol,
    "sha512": usmHMAC384SHA512AuthProtocol,
}
_PRIV = {"aes128": usmAesCfb128Protocol, "aes256": usmAesCfb256Protocol}
_SLACK_S = 5.0  # the library ends its own waits, which it looks at twice a second
_ENGINE_BEGAN = 1_767_225_600  # 2026-01-01; its time, in seconds since then, has 31 bits
_TRIES = 2  # after the first one, of one inform


class SnmpTransport:
    """Sends the notifications of each message one after the other. One engine a process; all of one installation have the same id."""

    def __init__(self, network: PublicOnly, unseal: Unseal, timeout_s: float, engine_id: bytes) -> None:
        self._network, self._unseal, self._timeout_s = network, unseal, timeout_s
        self._engine_id = engine_id
        self._engine: SnmpEngine | None = None

    async def send(self, parcel: Parcel) -> Outcome:
        """Send them all; the first that fails ends the attempt, and all are sent again."""
        options = parcel.options if isinstance(parcel.options, SnmpOptions) else SnmpOptions()
        url = urlsplit(parcel.address)
        host, port = url.hostname or "", url.port or PORT
        try:
            alerts = read_alerts(parcel.body, parcel.ended)
            login = self._login(options)
        except BadDocument as cause:
            return Permanent("document", str(cause))
        except ValueError as cause:
            return wrong_secret(cause)
        try:
            trouble = await self._send_all(alerts, login, (host, port), options.form)
        except NotPublic as cause:
            return Permanent("address", evidence(str(cause)))
        except TimeoutError:
            trouble = "No SNMP response"
        except (Unresolved, httpcore.ConnectError, OSError) as cause:
            trouble = str(cause) or type(cause).__name__
        if trouble is not None:
            return Temporary(options.form, evidence(trouble))
        if options.form == "inform":
            return Sent("answered", f"{len(alerts)} inform(s) answered by {host}:{port}")
        return Sent("network", f"{len(alerts)} trap(s) handed to the network for {host}:{port}; a trap has no answer")

    async def _send_all(
        self, alerts: Sequence[DocumentAlert], login: CommunityData | UsmUserData, to: tuple[str, int], form: str
    ) -> str | None:
        """Send one notification for each alert. Return what is wrong with the first that fails."""
        self._engine = self._engine or _open_engine(self._engine_id)
        [address, *_] = await self._network.look_up(*to, self._timeout_s)
        each_s = max(1.0, self._timeout_s / (_TRIES + 1))
        kind = UdpTransportTarget if address.version == 4 else Udp6TransportTarget  # noqa: PLR2004
        target = await kind.create((str(address), to[1]), timeout=each_s, retries=_TRIES)
        for alert in alerts:
            async with asyncio.timeout(2 * self._timeout_s + _SLACK_S):
                trouble, status, _, _ = await send_notification(
                    self._engine, login, target, ContextData(), form, _trap_of(alert)
                )
            if trouble or status:
                return str(trouble or status.prettyPrint())
        return None

    def preview(self, parcel: Parcel) -> str:
        """Return the objects of each notification, and for version 3 our engine id, which a receiver of traps must know."""
        is_3 = isinstance(parcel.options, SnmpOptions) and parcel.options.version == "3"
        shown = [f"engine id = 0x{self._engine_id.hex()}"] if is_3 else []
        shown += [
            "\n".join(f"{name} = {value}" for name, value in objects_of(alert))
            for alert in read_alerts(parcel.body, parcel.ended)
        ]
        return "\n\n".join(shown)

    async def close(self) -> None:
        """Close its socket."""
        if self._engine is not None:
            self._engine.close_dispatcher()

    def _login(self, options: SnmpOptions) -> CommunityData | UsmUserData:
        if options.version == "2c":
            community = "public" if options.community is None else self._unseal(options.community)
            return CommunityData(community, mpModel=1)  # noqa: S508  (many receivers know no other version)
        auth = None if options.auth_password is None else self._unseal(options.auth_password)
        priv = None if options.priv_password is None else self._unseal(options.priv_password)
        more = {"authProtocol": _AUTH[options.auth_protocol]} if auth else {}
        if priv:
            more["privProtocol"] = _PRIV[options.priv_protocol]
        return UsmUserData(options.user or "tocsin", authKey=auth, privKey=priv, **more)


def _open_engine(engine_id: bytes) -> SnmpEngine:
    """Return an engine with a time that all processes share: the seconds since a fixed moment, and one start.

    By the library each process counts a start of its own. A receiver of traps of version 3 drops those of an engine with a lower count
    than it has seen: after one message of another worker, or one test, it would take no trap of this process any more.
    """
    engine = SnmpEngine()  # given the id, it would keep its count in a file of the folder for temporary files
    names = "snmpEngineID", "snmpEngineBoots", "snmpEngineTime"
    own_id, boots, time = engine.get_mib_builder().import_symbols("__SNMP-FRAMEWORK-MIB", *names)
    own_id.syntax = engine.snmpEngineID = own_id.syntax.clone(OctetString(engine_id))
    boots.syntax, time.syntax = boots.syntax.clone(1), time.syntax.clone(_ENGINE_BEGAN)
    return engine


def _trap_of(alert: DocumentAlert) -> NotificationType:
    (_, kind), *objects = objects_of(alert)
    notification = NotificationType(ObjectIdentity(kind))
    return notification.add_varbinds(
        *(ObjectType(ObjectIdentity(oid), OctetString(text.encode())) for oid, text in objects)
    )
