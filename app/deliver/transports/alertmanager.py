"""The transport `alertmanager`: POSTs alerts to Prometheus Alertmanagers (API v2, `POST /api/v2/alerts`).

An alert is one there by its labels, of which `tocsin_alert` is always its id: sent again, it changes nothing. Opened, repeated and
acknowledged alerts are sent without an end, so that Alertmanager ends them after its `resolve_timeout` unless they are refreshed;
recovered ones with their end. Several Alertmanagers of one cluster do not pass alerts on to each other: all are posted to. The
message is sent if one of them accepted it, because they all notify the same people.
"""

import asyncio
import base64
import json
from collections.abc import Mapping

from app.deliver.transport import cancelled_is_unsent
from app.deliver.transports.document_alerts import BadDocument, DocumentAlert, read_alerts
from app.deliver.transports.http_caller import HttpCaller, ProgramRequest
from app.deliver.transports.unsealing import Unseal, wrong_secret
from app.domain.attempt import Outcome, Permanent, Sent
from app.domain.message import Parcel
from app.domain.recipient import shown_address
from app.domain.transport_options import AlertmanagerOptions

ID_LABEL = "tocsin_alert"
LABELS: Mapping[str, str] = {
    "alertname": "TocsinBackup",
    "severity": "{severity}",
    "kind": "{kind}",
    "customer": "{customer}",
    "agent": "{agent}",
    "job": "{job}",
    "activity": "{activity}",
}
ANNOTATIONS: Mapping[str, str] = {
    "summary": "{agent} {job}: {trouble}",
    "description": "{message}",
    "reason": "{reason}",
}
_PATH = "/api/v2/alerts"


class AlertmanagerTransport:
    """POSTs each message to every Alertmanager of its address."""

    def __init__(self, caller: HttpCaller, unseal: Unseal) -> None:
        self._caller, self._unseal = caller, unseal

    async def send(self, parcel: Parcel) -> Outcome:
        """POST the alerts to all peers at once."""
        try:
            # In a thread: all open alerts are sent again in one request, and there can be thousands.
            with cancelled_is_unsent():
                requests = await asyncio.to_thread(self._requests, parcel)
        except BadDocument as cause:
            return Permanent("document", str(cause))
        except ValueError as cause:
            return wrong_secret(cause)
        outcomes = await asyncio.gather(*(self._caller.call_with_login(request) for request in requests))
        accepted = [one for one in outcomes if isinstance(one, Sent)]
        failed = [
            f"{shown_address(request.url.removesuffix(_PATH))}: {one.code} {one.text}"
            for request, one in zip(requests, outcomes, strict=True)
            if not isinstance(one, Sent)
        ]
        if accepted and failed:
            return Sent(
                accepted[0].code, f"accepted by {len(accepted)} of {len(requests)}; not by " + "; ".join(failed)
            )
        return accepted[0] if accepted else outcomes[0]

    def preview(self, parcel: Parcel) -> str:
        """Return the requests as they would be sent."""
        return "\n\n".join(request.shown() for request in self._requests(parcel))

    async def close(self) -> None:
        """Close pooled connections."""
        await self._caller.close()

    def _requests(self, parcel: Parcel) -> list[ProgramRequest]:
        options = parcel.options if isinstance(parcel.options, AlertmanagerOptions) else AlertmanagerOptions()
        alerts = [_alert(one, options) for one in read_alerts(parcel.body, parcel.ended)]
        body = json.dumps(alerts, ensure_ascii=False, separators=(",", ":")).encode()
        headers = {"content-type": "application/json", "user-agent": "Tocsin"}
        if options.bearer_token is not None:
            headers["authorization"] = f"Bearer {self._unseal(options.bearer_token)}"
        elif options.user is not None:
            password = "" if options.password is None else self._unseal(options.password)
            headers["authorization"] = "Basic " + base64.b64encode(f"{options.user}:{password}".encode()).decode()
        return [
            ProgramRequest(url.rstrip("/") + _PATH, headers, body, ("authorization",))
            for url in peers_of(parcel.address)
        ]


def peers_of(address: str) -> list[str]:
    """Return the URLs of an address: one for each Alertmanager, separated by spaces."""
    return address.split()


def _alert(one: DocumentAlert, options: AlertmanagerOptions) -> dict[str, object]:
    labels = {**LABELS, **options.labels, ID_LABEL: one.id}
    annotations = {**ANNOTATIONS, **options.annotations}
    if one.acknowledged_at is not None:
        annotations["acknowledged"] = one.acknowledged_at
    alert: dict[str, object] = {
        # An empty label is no label: Alertmanager drops it.
        "labels": {name: text for name, template in labels.items() if (text := one.fill(template))},
        "annotations": {name: text for name, template in annotations.items() if (text := one.fill(template).strip())},
        "startsAt": one.opened_at,
        "generatorURL": one.fields["url"],
    }
    return alert if one.closed_at is None else {**alert, "endsAt": one.closed_at}
