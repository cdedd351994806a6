"""Turns an alert into one message of syslog (RFC 5424). Pure."""

import re
from collections.abc import Mapping

from app.deliver.transports.document_alerts import DocumentAlert

FACILITIES = (
    *("kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp", "ntp", "audit"),
    *("alert", "clock", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7"),
)  # fmt: skip
SD_ID = "tocsin@32473"  # the number that RFC 5612 reserves for examples: we have none of our own
_SEVERITIES = {"critical": 2, "error": 3, "warning": 4, "info": 6}
_NOTICE, _LONGEST_VALUE = 5, 300
_SHOWN = ("id", "what", "kind", "severity", "customer", "agent", "job", "activity", "reason", "url")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_NOT_IN_NAME = re.compile(r"[^!-~]")
_BOM = b"\xef\xbb\xbf"
_PRI_MOST = 191


def syslog_line(alert: DocumentAlert, *, facility: str, host: str, most: int) -> bytes:
    """Return one message of at most `most` bytes; the text at its end is shortened.

    An alert that is over, or that somebody has acknowledged, has the severity "notice".
    """
    is_calm = alert.is_over or alert.acknowledged_at is not None
    severity = _NOTICE if is_calm else _SEVERITIES.get(alert.fields["severity"], 3)
    pri = min(FACILITIES.index(facility) * 8 + severity, _PRI_MOST)
    at = alert.closed_at or alert.acknowledged_at or alert.opened_at
    state = "closed" if alert.is_over else alert.what.value
    fields = {**alert.fields, "what": state}
    header = f"<{pri}>1 {at} {_name(host, 255)} tocsin - {_name(f'alert.{state}', 32)} "
    head = header.encode("ascii") + _structured(fields).encode() + b" " + _BOM
    agent_job = " ".join(part for part in (fields["agent"], fields["job"]) if part)
    words = f"{state}: {agent_job}: {fields['trouble']}" + (f": {fields['message']}" if fields["message"] else "")
    text = _CONTROL.sub(" ", words).encode("utf-8", "replace")[: max(0, most - len(head))]
    return head + text.decode("utf-8", "ignore").encode()  # not half a letter at the end


def _structured(fields: Mapping[str, str]) -> str:
    """Return the structured data, with the three letters escaped that RFC 5424 section 6.3.3 names."""
    parts = [f'{name}="{_value(fields[name])}"' for name in _SHOWN if fields[name]]
    return f"[{SD_ID} {' '.join(parts)}]"


def _value(text: str) -> str:
    plain = _CONTROL.sub(" ", text).encode("utf-8", "replace").decode()[:_LONGEST_VALUE]
    return plain.replace("\\", "\\\\").replace('"', '\\"').replace("]", "\\]")


def _name(text: str, most: int) -> str:
    return _NOT_IN_NAME.sub("-", text)[:most] or "-"
