"""Completes what a transport to a program sends, when an attempt begins: the options of the address, and which alerts have ended.

An alert may be closed while the message that it opened waits. A program that keeps states would otherwise hear of the end first
and of the opening after it, and would show the alert for ever. Another alert may be open by then: of a program that keeps one state
for both, the end of one would hide the other.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace

from app.deliver.transports.check_state import service_of
from app.deliver.transports.document_alerts import SHOWN, BadDocument, DocumentAlert, read_alerts
from app.domain.event import Severity
from app.domain.lease import Leased
from app.domain.message import KEEPS_SERVICES, KEEPS_STATES
from app.domain.notice import NoticeKind
from app.domain.recipient import Address, Recipient
from app.domain.transport_options import OPTIONS, TransportOptions
from app.store.alerts import OpenState, ended_alerts, open_states_of
from app.store.routing import all_recipients
from app.store.transactions import ReadTx, WriteTx

_RANKS = {severity.value: rank for rank, severity in enumerate(Severity)}
_Place = tuple[Address, tuple[str, str]]  # an address with a service there
_States = Mapping[_Place, Sequence[OpenState]]


async def complete_parcels(tx: WriteTx, leased: Sequence[Leased]) -> list[Leased]:
    """Return leased messages to programs with the present options of their addresses, and the alerts of theirs that were closed."""
    recipients = {one.id: one for one in await all_recipients(tx)}
    documents = {one.claim: _alerts_of(one) for one in leased if one.transport in KEEPS_STATES}
    ended = await ended_alerts(tx, {alert.id for alerts in documents.values() for alert in alerts})
    addresses = {Address(one.transport, one.parcel.address) for one in leased if one.transport in KEEPS_SERVICES}
    kinds = {alert.fields["kind"] for alerts in documents.values() for alert in alerts}
    states = await _read_states(tx, recipients.values(), addresses, kinds) if addresses else {}
    completed = []
    for one in leased:
        to, of = Address(one.transport, one.parcel.address), recipients.get(one.parcel.recipient_id)
        options = next((own.options for own in (of.transports if of else ()) if own == to), None)
        alerts = documents.get(one.claim, [])
        own_ended = {alert.id: ended[alert.id] for alert in alerts if alert.id in ended}
        others = _worse_elsewhere(alerts, own_ended.keys(), to, options, states)
        completed.append(replace(one, parcel=replace(one.parcel, options=options, ended=own_ended, open_again=others)))
    return completed


def _alerts_of(one: Leased) -> list[DocumentAlert]:
    try:
        return read_alerts(one.parcel.body, {})
    except BadDocument:
        return []  # no document about alerts


async def _read_states(
    tx: ReadTx, recipients: Iterable[Recipient], addresses: AbstractSet[Address], kinds: Collection[str]
) -> _States:
    """Return the open alerts by the service that they have at these addresses, also those of other recipients with the same address."""
    by_id = {one.id: one for one in recipients if not addresses.isdisjoint(one.transports)}
    found: defaultdict[_Place, list[OpenState]] = defaultdict(list)
    for state in await open_states_of(tx, by_id.keys(), kinds):
        for to in by_id[state.recipient_id].transports:
            place = service_of(_named(state), to.options or OPTIONS[to.transport]()) if to in addresses else None
            if place is not None:
                found[to, place].append(state)
    return found


def _named(state: OpenState) -> DocumentAlert:
    known = {"customer": state.customer, "agent": state.agent, "job": state.job, "activity": state.activity}
    known |= {"kind": state.kind, "severity": state.severity, "id": state.id}
    return DocumentAlert(state.id, NoticeKind.OPENED, "", None, None, {name: known.get(name) or "" for name in SHOWN})


def _worse_elsewhere(
    alerts: Sequence[DocumentAlert],
    ended: Collection[str],
    to: Address,
    options: TransportOptions | None,
    states: _States,
) -> dict[str, str]:
    """Return the severity of the worst other open alert with the same service, by the id of each alert that it would be hidden by."""
    found = {}
    for alert in alerts:
        is_over = alert.is_over or alert.id in ended
        place = service_of(alert, options or (OPTIONS[to.transport]() if to.transport in KEEPS_SERVICES else None))
        others = [one.severity for one in states.get((to, place), ()) if one.id != alert.id] if place else []
        worst = max(others, key=lambda one: _RANKS.get(one, 0), default=None)
        if worst is not None and (is_over or _RANKS.get(worst, 0) > _RANKS.get(alert.fields["severity"], 0)):
            found[alert.id] = worst
    return found
