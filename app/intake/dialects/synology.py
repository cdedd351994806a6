"""Synology DSM's custom webhook, and any other that posts the text of a notification: the text says what a mail of the tool would say.

Source: https://kb.synology.com/en-global/DSM/help/DSM/AdminCenter/system_notification_webhook. The administrator names the field that
holds the text (`@@TEXT@@`), in the address, in a form or in JSON. The job is read from the text, as in a mail.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from app.intake.dialects.body_fields import first_text, read_form_body, read_json_body
from app.intake.dialects.mail import read_mail
from app.intake.dialects.mails.received import ReceivedMail
from app.intake.dialects.message import read_report_within
from app.intake.dialects.tool_request import NotUnderstood, ToolRequest
from app.intake.parse import WireEvent

TOOL = "synology"
_TEXTS = ("text", "message", "content", "msg", "body", "description", "event", "payload")
_TITLES = ("title", "subject", "prefix", "header")
_HOSTS = ("agent", "host", "hostname", "nas", "nas_name", "device")


def read(request: ToolRequest) -> Sequence[WireEvent]:
    """Return the events of one notification. Raises NotUnderstood for one without text."""
    sent: Mapping[str, Any] = read_json_body(request)
    form = {} if sent else read_form_body(request)
    fields: Mapping[str, Any] = {**dict(request.query), **form, **sent}
    title, text = first_text(fields, _TITLES) or "", first_text(fields, _TEXTS) or ""
    if not title and not text and not sent:
        text = request.readable_text
    text = text.strip()
    if not title and not text:
        raise NotUnderstood("a notification without text")
    if (events := read_report_within(title, text, request)) is not None:
        return events
    subject = title or text.partition("\n")[0][:1000]
    mail = ReceivedMail(
        subject,
        text or title,
        "",
        job=request.job or request.query_value("job"),
        names=request.names_in(title, text),
        agent=request.agent,
    )
    host = first_text(fields, _HOSTS)
    return [_of_webhook(event, host) for event in read_mail(mail, request)]


def _of_webhook(event: WireEvent, host: str | None) -> WireEvent:
    """Return a mail's event as one of the webhook, under the host that it names."""
    job = event.get("job")
    labels = {**(event.get("labels") or {}), "tool": TOOL}
    found: WireEvent = {**event, "labels": labels, "job": TOOL if job in (None, "mail") else job}
    return {**found, "agent": host} if host and not event.get("agent") else found
