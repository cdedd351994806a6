"""The transport `opsgenie`: creates, acknowledges and closes alerts by the Alert API v2 of Opsgenie, one request for each alert.

The `alias` is the id of the alert: while an alert with an alias is open there, a second one only counts up. Requests are processed
later there: 202 means accepted, also for an acknowledgement or an end of an alert that is not known there.
"""

import json
from collections.abc import Mapping
from urllib.parse import quote

from app.deliver.transports.by_alert import AlertByAlertTransport, AlertRequest
from app.deliver.transports.document_alerts import BadDocument, DocumentAlert, read_alerts
from app.deliver.transports.http_caller import ProgramRequest
from app.domain.message import Parcel
from app.domain.notice import NoticeKind
from app.domain.transport_options import OpsgenieOptions

_LONGEST_MESSAGE, _LONGEST_DESCRIPTION, _LONGEST_ENTITY = 130, 15_000, 512  # characters, by the published schema
_PRIORITIES: Mapping[str, str] = {"critical": "P1", "error": "P2", "warning": "P3", "info": "P5"}


class OpsgenieTransport(AlertByAlertTransport):
    """Sends a request for each alert of a message."""

    def requests_of(self, parcel: Parcel) -> list[AlertRequest]:
        """Return the requests. Raises BadDocument if the secret of the address is gone."""
        options = parcel.options
        if not isinstance(options, OpsgenieOptions) or options.api_key is None:
            raise BadDocument("its recipient no longer has an API key for this address")
        headers = {
            "content-type": "application/json",
            "user-agent": "Tocsin",
            "authorization": f"GenieKey {self._unseal(options.api_key)}",
        }
        made = []
        for alert in read_alerts(parcel.body, parcel.ended):
            path, content = _request(alert, options.priorities)
            body = json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()
            request = ProgramRequest(parcel.address.rstrip("/") + path, headers, body, ("authorization",))
            made.append(AlertRequest(alert.id, request))
        return made


def _request(alert: DocumentAlert, priorities: Mapping[str, str]) -> tuple[str, dict[str, object]]:
    of_alias = f"/v2/alerts/{quote(alert.id, safe='')}"
    if alert.is_over:
        return f"{of_alias}/close?identifierType=alias", {"source": "Tocsin"}
    if alert.what is NoticeKind.ACKNOWLEDGED:
        return f"{of_alias}/acknowledge?identifierType=alias", {"source": "Tocsin"}
    severity = alert.fields["severity"]
    details = ("customer", "agent", "job", "activity", "kind", "severity", "url")
    return "/v2/alerts", {
        "message": alert.fill("{agent} {job}: {trouble}")[:_LONGEST_MESSAGE],
        "alias": alert.id,
        "description": alert.fill("{message}\n{reason}\n{url}").strip()[:_LONGEST_DESCRIPTION],
        "priority": {**_PRIORITIES, **priorities}.get(severity, "P3"),
        "source": "Tocsin",
        "entity": alert.fill("{customer}: {agent}")[:_LONGEST_ENTITY],
        "details": {name: alert.fields[name] for name in details},
    }
