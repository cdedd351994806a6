"""The state of an alert in the words of Nagios and its relatives: OK, WARNING, CRITICAL or UNKNOWN, with the service it belongs to. Pure."""

import re
from dataclasses import dataclass, replace

from app.deliver.transports.document_alerts import DocumentAlert, read_alerts
from app.domain.message import Parcel
from app.domain.transport_options import (
    Icinga2Options,
    NagiosOptions,
    ServiceNames,
    TransportOptions,
    ZabbixOptions,
)

OK, WARNING, CRITICAL, UNKNOWN = 0, 1, 2, 3
NAMES = ("OK", "WARNING", "CRITICAL", "UNKNOWN")
_STATES = {"critical": CRITICAL, "error": CRITICAL, "warning": WARNING, "info": WARNING}
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029|]+")  # `|` begins performance data
_NOT_IN_NAME = re.compile(r"[\x00-\x1f\x7f`~!$%^&*|'\"<>?,()=;\\]")  # Nagios' illegal_object_name_chars
_NOT_IN_KEY = re.compile(r"[\x00-\x1f\x7f]+")
_LONGEST_NAME, _LONGEST_TEXT = 200, 1000


@dataclass(frozen=True, slots=True)
class CheckState:
    """The result of a check: of which service of which host, its state, and its output in one line."""

    host: str
    service: str
    state: int
    output: str


def service_alerts(parcel: Parcel) -> list[DocumentAlert]:
    """Return the alerts of a message, those that are over first: of several about one service, the last one counts. Raises BadDocument.

    Of one whose service another open alert has too, the state of the worse one is sent.
    """
    found = read_alerts(parcel.body, parcel.ended)
    for place, alert in enumerate(found):
        if (severity := parcel.open_again.get(alert.id)) is not None:
            fields = {**alert.fields, "severity": severity, "message": "another open alert has this service"}
            found[place] = replace(alert, closed_at=None, fields=fields)
    return sorted(found, key=lambda alert: not alert.is_over)


def check_state(alert: DocumentAlert, names: ServiceNames) -> CheckState:
    """Return the result for one alert.

    A service stands for one kind of problem of one job: with one service for all kinds, the end of one problem would turn it green
    while another one is open. So `{kind}` must be in its name.
    """
    state = (
        OK
        if alert.is_over
        else UNKNOWN
        if alert.fields["kind"] == "unclear"
        else _STATES.get(alert.fields["severity"], CRITICAL)
    )
    words = [
        NAMES[state],
        "it is over" if alert.is_over else alert.fields["trouble"],
        alert.fields["message"],
        alert.fields["url"],
    ]
    output = _CONTROL.sub(" ", ": ".join(word for word in words if word)).encode("utf-8", "replace").decode()
    return CheckState(_name(alert.fill(names.host)), _name(alert.fill(names.service)), state, output[:_LONGEST_TEXT])


def service_of(alert: DocumentAlert, options: TransportOptions | None) -> tuple[str, str] | None:
    """Return host and service (for Zabbix, the key of the item) of an alert at a program; None: it keeps no services."""
    match options:
        case ZabbixOptions(host=host, key=key):
            return _name(alert.fill(host)), item_key(alert, key)
        case Icinga2Options(host=host, service=service) | NagiosOptions(host=host, service=service):
            return _name(alert.fill(host)), _name(alert.fill(service))
        case _:
            return None


def item_key(alert: DocumentAlert, template: str) -> str:
    """Return the key of an item of Zabbix. Its parameters are filled in quoted, so that no name of a job can add one."""
    quoted = {
        name: _NOT_IN_KEY.sub(" ", text).replace("\\", "/").replace('"', "'") for name, text in alert.fields.items()
    }
    return replace(alert, fields=quoted).fill(template)


def _name(text: str) -> str:
    return " ".join(_NOT_IN_NAME.sub("_", text).split())[:_LONGEST_NAME]
