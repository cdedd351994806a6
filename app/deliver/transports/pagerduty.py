"""The transport `pagerduty`: sends events to PagerDuty (Events API v2), one for each alert.

The `dedup_key` is the id of the alert, so an event that is sent again changes nothing. Opened and repeated alerts trigger, acknowledged
ones acknowledge, and recovered ones resolve. 202 means accepted, 400 that the event or the routing key is wrong, 429 and 5xx that
it is to be sent again.
"""

import json
from collections.abc import Mapping

from app.deliver.transports.by_alert import AlertByAlertTransport, AlertRequest
from app.deliver.transports.document_alerts import BadDocument, DocumentAlert, read_alerts
from app.deliver.transports.http_caller import ProgramRequest
from app.domain.message import Parcel
from app.domain.notice import NoticeKind
from app.domain.transport_options import PagerdutyOptions

_LONGEST_SUMMARY = 1024  # characters, by the published schema
_SEVERITIES = ("critical", "error", "warning", "info")


class PagerdutyTransport(AlertByAlertTransport):
    """Sends an event for each alert of a message."""

    def requests_of(self, parcel: Parcel) -> list[AlertRequest]:
        """Return the requests. Raises BadDocument if the secret of the address is gone."""
        options = parcel.options
        if not isinstance(options, PagerdutyOptions) or options.routing_key is None:
            raise BadDocument("its recipient no longer has a routing key for this address")
        key, headers = self._unseal(options.routing_key), {"content-type": "application/json", "user-agent": "Tocsin"}
        made = []
        for alert in read_alerts(parcel.body, parcel.ended):
            event = {"routing_key": key, **_event(alert, options.severities)}
            body = json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode()
            request = ProgramRequest(parcel.address, headers, body, more_secrets=(key,))
            made.append(AlertRequest(alert.id, request))
        return made


def _event(alert: DocumentAlert, severities: Mapping[str, str]) -> dict[str, object]:
    if alert.is_over:
        return {"event_action": "resolve", "dedup_key": alert.id}
    if alert.what is NoticeKind.ACKNOWLEDGED:
        return {"event_action": "acknowledge", "dedup_key": alert.id}
    severity = alert.fields["severity"]
    summary = alert.fill("{customer}: {agent} {job}: {trouble}. {message}")
    details = ("customer", "agent", "job", "activity", "kind", "message", "reason")
    return {
        "event_action": "trigger",
        "dedup_key": alert.id,
        "client": "Tocsin",
        "client_url": alert.fields["url"],
        "links": [{"href": alert.fields["url"], "text": "The alert in Tocsin"}],
        "payload": {
            "summary": summary[:_LONGEST_SUMMARY],
            "source": alert.fields["agent"],
            "severity": severities.get(severity, severity if severity in _SEVERITIES else "error"),
            "timestamp": alert.opened_at,
            "component": alert.fields["job"],
            "group": alert.fields["customer"],
            "class": alert.fields["kind"],
            "custom_details": {name: alert.fields[name] for name in details},
        },
    }
