"""Completes what a transport to a program sends, when an attempt begins: the options of the address, and which alerts have ended.

An alert may be closed while the message that it opened waits. A program that keeps states would otherwise hear of the end first
and of the opening after it, and would show the alert for ever. A newer alert may be open by then: of a program that keeps one state
for both, the end of the older one would hide it.
"""

import json
from collections.abc import Sequence
from dataclasses import replace

from app.domain.lease import Leased
from app.domain.message import KEEPS_SERVICES, KEEPS_STATES
from app.domain.recipient import Address
from app.store.alerts import ended_alerts, open_again
from app.store.routing import recipients_by_id
from app.store.transactions import WriteTx


async def complete_parcels(tx: WriteTx, leased: Sequence[Leased]) -> list[Leased]:
    """Return leased messages to programs with the present options of their addresses, and the alerts of theirs that were closed."""
    recipients = await recipients_by_id(tx, {one.parcel.recipient_id for one in leased})
    alert_ids = {one.claim: _alert_ids(one.parcel.body) for one in leased if one.transport in KEEPS_STATES}
    ended = await ended_alerts(tx, {alert_id for ids in alert_ids.values() for alert_id in ids})
    of_services = [one.claim for one in leased if one.transport in KEEPS_SERVICES]
    again = await open_again(tx, ended.keys() & {alert_id for claim in of_services for alert_id in alert_ids[claim]})
    completed = []
    for one in leased:
        to, of = Address(one.transport, one.parcel.address), recipients.get(one.parcel.recipient_id)
        options = next((own.options for own in (of.transports if of else ()) if own == to), None)
        own_ended = {alert_id: ended[alert_id] for alert_id in alert_ids.get(one.claim, ()) if alert_id in ended}
        newer = {
            id_: again[id_, one.parcel.recipient_id] for id_ in own_ended if (id_, one.parcel.recipient_id) in again
        }
        completed.append(replace(one, parcel=replace(one.parcel, options=options, ended=own_ended, open_again=newer)))
    return completed


def _alert_ids(body: bytes) -> list[str]:
    try:
        return [str(alert["id"]) for alert in json.loads(body)["data"]["alerts"]]
    except (ValueError, KeyError, TypeError):
        return []  # no document about alerts
