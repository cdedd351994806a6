"""What PagerDuty and Opsgenie report of incidents that we opened there. No key is needed: each report has the secret of a recipient's address."""

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Path, Request, Security
from fastapi.security import APIKeyHeader
from pydantic import BaseModel, Field
from starlette.status import HTTP_202_ACCEPTED

from app.admin.outside_changes import apply_outside_change
from app.context import AppContext
from app.core.errors import MalformedBody, NotAllowed
from app.core.secret import WrongSecret
from app.domain.outside_change import OutsideChange, OutsideChangeKind, is_bearer, is_signed
from app.domain.transport_options import OpsgenieOptions, PagerdutyOptions
from app.http.api.dependencies import Context, problems
from app.store.routing import recipients_by_id

router = APIRouter(prefix="/v1/acknowledgements", tags=["acknowledgements"])
_PAGERDUTY = {
    "incident.acknowledged": OutsideChangeKind.ACKNOWLEDGED,
    "incident.unacknowledged": OutsideChangeKind.UNACKNOWLEDGED,
    "incident.resolved": OutsideChangeKind.RESOLVED,
}
_OPSGENIE = {
    "Acknowledge": OutsideChangeKind.ACKNOWLEDGED,
    "UnAcknowledge": OutsideChangeKind.UNACKNOWLEDGED,
    "Close": OutsideChangeKind.RESOLVED,
}
_NOBODYS = "a secret of nobody, so that an unknown recipient takes as long as a wrong signature"
_OUR_KEY = re.compile(r"alr_[0-9a-f]{1,36}")
_KEYS_MOST, _SECRETS_MOST = 50, 10
_NANOSECONDS, _MILLISECONDS = 10**17, 10**11  # Opsgenie writes both, and a time in seconds is less
RecipientId = Annotated[
    str,
    Path(
        max_length=40,
        pattern=r"^[A-Za-z0-9_]+$",
        description="The id of the recipient whose address has the secret of this webhook.",
    ),
]
Signature = Annotated[
    str | None,
    Security(
        APIKeyHeader(
            name="X-PagerDuty-Signature",
            scheme_name="pagerdutySignature",
            description="`v1=` and HMAC-SHA-256 of the body, by the secret of the webhook subscription.",
            auto_error=False,
        )
    ),
]
BearerSecret = Annotated[
    str | None,
    Security(
        APIKeyHeader(
            name="Authorization",
            scheme_name="webhookSecret",
            description="`Bearer` and the secret of the webhook.",
            auto_error=False,
        )
    ),
]


def _body(example: dict[str, object]) -> dict[str, object]:
    content = {"application/json": {"schema": {"type": "object"}, "example": example}}
    return {"requestBody": {"required": True, "description": "The report as it is sent there.", "content": content}}


_ALERT_ID = "alr_0193a5f2c4d10123456789abcdef"
_EVENT_EXAMPLE: dict[str, object] = {
    "event": {
        "event_type": "incident.acknowledged",
        "occurred_at": "2026-03-01T12:00:00Z",
        "agent": {"summary": "Jane Doe"},
        "data": {"incident_key": _ALERT_ID},
    }
}
_ACTION_EXAMPLE: dict[str, object] = {
    "action": "Acknowledge",
    "alert": {"alias": _ALERT_ID, "username": "jane@example.org", "updatedAt": 1772366400000000000},
}


class AcknowledgementsOut(BaseModel):
    """What a report did."""

    changed: list[str] = Field(
        description="The ids of the alerts that it changed; empty where it was about nothing of ours, or changed nothing."
    )


@router.post(
    "/pagerduty/{recipient}",
    operation_id="post_pagerduty_event",
    summary="Take a webhook of PagerDuty",
    status_code=HTTP_202_ACCEPTED,
    responses=problems(),
    openapi_extra=_body(_EVENT_EXAMPLE),
)
async def post_pagerduty_event(
    recipient: RecipientId, request: Request, context: Context, signature: Signature
) -> AcknowledgementsOut:
    """Take a V3 webhook, signed in `X-PagerDuty-Signature` with the `webhook_secret` of the recipient's address.

    An incident that is acknowledged or resolved there is acknowledged here, in the name of the person there; `incident.unacknowledged`
    takes that back. An alert is closed only once a backup worked. Events about anything else do nothing.
    """
    body = await request.body()
    await _check(context, recipient, PagerdutyOptions, lambda secret: is_signed(secret, body, signature or ""))
    document = _read(body)
    event = _part(document, "event")
    data = _part(event, "data")
    change = _PAGERDUTY.get(_text(event, "event_type") or "")
    at = _moment(_text(event, "occurred_at"))
    alerts = _part(data, "alerts")
    listed = alerts[:_KEYS_MOST] if isinstance(alerts, list) else ()
    # `incident_key` is the `dedup_key` that we sent.
    keys = [_text(data, "incident_key"), *(_text(one, "alert_key") for one in listed)]
    person = _text(_part(event, "agent"), "summary")
    return await _apply(context, recipient, _event("PagerDuty", change, keys, at, person))


@router.post(
    "/opsgenie/{recipient}",
    operation_id="post_opsgenie_action",
    summary="Take a webhook of Opsgenie",
    status_code=HTTP_202_ACCEPTED,
    responses=problems(),
    openapi_extra=_body(_ACTION_EXAMPLE),
)
async def post_opsgenie_action(
    recipient: RecipientId, request: Request, context: Context, secret: BearerSecret
) -> AcknowledgementsOut:
    """Take an action that Opsgenie's webhook reports, with the `webhook_secret` of the recipient's address in `Authorization: Bearer`.

    An alert that is acknowledged or closed there is acknowledged here, in the name of the person there; `UnAcknowledge` takes that
    back. An alert is closed only once a backup worked. Other actions do nothing.
    """
    body = await request.body()
    await _check(context, recipient, OpsgenieOptions, lambda own: is_bearer(own, secret or ""))
    document = _read(body)
    alert = _part(document, "alert")
    change = _OPSGENIE.get(_text(document, "action") or "")
    at, person = _moment(_part(alert, "updatedAt")), _text(alert, "username")
    # `alias` is the id that we sent.
    return await _apply(context, recipient, _event("Opsgenie", change, [_text(alert, "alias")], at, person))


async def _check(
    context: AppContext,
    recipient_id: str,
    kind: type[PagerdutyOptions | OpsgenieOptions],
    is_theirs: Callable[[str], bool],
) -> None:
    """Raise NotAllowed unless the report has a secret of this recipient; the same for one that does not exist."""
    async with context.database.read() as tx:
        recipient = (await recipients_by_id(tx, [recipient_id])).get(recipient_id)
    found = [to.options for to in (recipient.transports if recipient else ()) if isinstance(to.options, kind)]
    sealed = [one.webhook_secret for one in found if one.webhook_secret is not None][:_SECRETS_MOST]
    try:
        secrets = [context.secret.unseal(one.ciphertext) for one in sealed]
    except WrongSecret:
        secrets = []
    matches = [is_theirs(secret) for secret in secrets or [_NOBODYS]]
    if not secrets or not any(matches):
        raise NotAllowed(
            "the signature or secret of this webhook is not that of this recipient", code="wrong_signature"
        )


async def _apply(context: AppContext, recipient_id: str, event: OutsideChange | None) -> AcknowledgementsOut:
    if event is None:
        return AcknowledgementsOut(changed=[])
    async with context.database.write() as tx:
        return AcknowledgementsOut(changed=await apply_outside_change(tx, context, event, recipient_id))


def _read(body: bytes) -> object:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise MalformedBody("the body is not JSON") from None


def _event(
    program: str, change: OutsideChangeKind | None, keys: list[str | None], at: datetime | None, person: str | None
) -> OutsideChange | None:
    """Return what happened there; None for what is about something else."""
    ids = tuple(dict.fromkeys(key for key in keys if key is not None and _OUR_KEY.fullmatch(key)))
    if change is None or at is None or not ids:
        return None
    return OutsideChange(program, change, ids[:_KEYS_MOST], at, person)


def _part(document: object, name: str) -> object:
    return document.get(name) if isinstance(document, dict) else None


def _text(document: object, name: str) -> str | None:
    found = _part(document, name)
    # Half a character can be written in JSON, and no database stores it.
    return found.encode("utf-8", "replace").decode() if isinstance(found, str) else None


def _moment(written: object) -> datetime | None:
    """Return a time, in RFC 3339 or as a number since 1970 in seconds, milliseconds or nanoseconds."""
    try:
        if isinstance(written, str):
            at = datetime.fromisoformat(written)
            return at if at.tzinfo is not None else None
        if isinstance(written, int) and not isinstance(written, bool):
            divisor = 1_000_000_000 if written >= _NANOSECONDS else 1000 if written >= _MILLISECONDS else 1
            return datetime.fromtimestamp(written / divisor, UTC)
    except (ValueError, OverflowError, OSError):
        pass
    return None
