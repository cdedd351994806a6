"""The fields of each transport in the form of a recipient: one table of the options of transports, with label, hint and rule of each.

A test compares the table with the types of the options: each option has a field, and each secret is marked as one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from app.deliver.transports.syslog_line import FACILITIES

_ = str  # marks texts for the catalogs; they are translated when they are shown

MAIL_TRANSPORTS = ("smtp", "graph", "mapi", "file")


class FieldKind(StrEnum):
    """How a field is entered. `pairs` has lines such as `NAME: VALUE`; values of `hidden_pairs` and of `hidden` are secrets, and never shown."""

    TEXT = "text"
    NUMBER = "number"
    CHOICE = "choice"
    LONG = "long"
    PAIRS = "pairs"
    HIDDEN = "hidden"
    HIDDEN_PAIRS = "hidden_pairs"


@dataclass(frozen=True, slots=True)
class OptionField:
    """One option of a transport. `rule` is shown with its errors."""

    name: str
    kind: FieldKind
    label: str
    hint: str
    rule: str
    choices: tuple[str, ...] = ()


_CHOOSE = _("choose one of the list")
_CERTIFICATE = OptionField(
    "ca_certificate",
    FieldKind.LONG,
    _("Certificate of your own authority"),
    _("Only if the server's certificate is from an authority of your own. PEM: -----BEGIN CERTIFICATE----- and so on."),
    _("it must begin with -----BEGIN CERTIFICATE----- and have at most 20000 characters"),
)

_HOST = OptionField(
    "host",
    FieldKind.TEXT,
    _("Name of the host"),
    _(
        "As the host is called there, such as {agent} or {agent}.example.org. May contain {customer}, {agent}, {job} and the other names of an alert."
    ),
    _("it must not be empty or longer than 2000 characters"),
)
_SERVICE = OptionField(
    "service",
    FieldKind.TEXT,
    _("Name of the service"),
    _(
        "As the service is called there, such as {job} {kind}. One service for each kind, so that the end of one problem does not hide another."
    ),
    _("it must contain {kind} and have at most 500 characters"),
)
_WEBHOOK_SECRET_RULE = _("it must have at least 16 characters and no space; enter it again if you changed the address")
_HIDDEN_RULE = _("it must have at most 4000 characters, all printable; enter it again if you changed the address")
_SNMP_RULE = _("it must have 3 to 200 characters of ASCII; enter it again if you changed the address")
_USER_RULE = _("it must have at most 200 characters, and no colon")
_PAIRS_RULE = _("write one pair in each line, such as NAME: VALUE, each name once")

TRANSPORT_FIELDS: Mapping[str, tuple[OptionField, ...]] = {
    "webhook": (
        OptionField(
            "format",
            FieldKind.CHOICE,
            _("Format"),
            _("What is posted: standard for your own programs, or the message of a chat, such as slack or teams."),
            _CHOOSE,
            ("standard", "cloudevents", "slack", "teams", "discord", "google_chat"),
        ),
        OptionField(
            "template",
            FieldKind.LONG,
            _("Template of the body"),
            _(
                "Replaces the format: a Jinja template of JSON, in which each value passes tojson, as in {{ data.subject | tojson }}."
            ),
            _("it must have at most 4000 characters"),
        ),
        OptionField(
            "headers",
            FieldKind.PAIRS,
            _("Further headers"),
            _("One in each line, such as X-Team: backup"),
            _PAIRS_RULE,
        ),
        OptionField(
            "secret_headers",
            FieldKind.HIDDEN_PAIRS,
            _("Secret headers"),
            _(
                "One in each line, such as Authorization: Bearer TOKEN. Values are never shown: a name without a value keeps the stored one; remove a line to remove the header."
            ),
            _(
                "write one header in each line, such as NAME: VALUE, each name once, and none that Tocsin sets itself; enter the values again if you changed the address"
            ),
        ),
    ),
    "alertmanager": (
        OptionField(
            "labels",
            FieldKind.PAIRS,
            _("Labels"),
            _(
                "One in each line, such as team: backup. They replace the usual ones of the same name; an empty value leaves one out. Values may contain {agent}, {job} and so on."
            ),
            _PAIRS_RULE,
        ),
        OptionField(
            "annotations",
            FieldKind.PAIRS,
            _("Annotations"),
            _(
                "One in each line, such as dashboard: {url}. A line that begins with two spaces continues the one before."
            ),
            _PAIRS_RULE,
        ),
        OptionField(
            "user", FieldKind.TEXT, _("User"), _("For basic authentication, such as tocsin. Empty: none."), _USER_RULE
        ),
        OptionField("password", FieldKind.HIDDEN, _("Password"), _("The password of this user."), _HIDDEN_RULE),
        OptionField(
            "bearer_token",
            FieldKind.HIDDEN,
            _("Bearer token"),
            _("Sent in place of user and password, such as eyJhbGciOi…"),
            _("it must have at most 4000 characters and no space; enter it again if you changed the address"),
        ),
        OptionField(
            "refresh_s",
            FieldKind.NUMBER,
            _("Send open alerts again after (seconds)"),
            _("Less than half of the resolve_timeout of Alertmanager, such as 60."),
            _("it must be a whole number from 5 to 3600"),
        ),
    ),
    "pagerduty": (
        OptionField(
            "routing_key",
            FieldKind.HIDDEN,
            _("Integration key"),
            _("Of the service in PagerDuty (Events API v2): 32 characters, such as R0123456789ABCDEFGHIJKLMNOPQRSTU"),
            _("enter the integration key, also after you changed the address"),
        ),
        OptionField(
            "severities",
            FieldKind.PAIRS,
            _("Other severities"),
            _("One in each line, such as error: critical. Only for those that differ there."),
            _("write lines such as error: critical, with critical, error, warning or info on both sides"),
        ),
        OptionField(
            "webhook_secret",
            FieldKind.HIDDEN,
            _("Secret of the webhook"),
            _("The secret of PagerDuty's webhook subscription, so that an acknowledgement there counts here."),
            _WEBHOOK_SECRET_RULE,
        ),
    ),
    "opsgenie": (
        OptionField(
            "api_key",
            FieldKind.HIDDEN,
            _("API key"),
            _("Of the integration in Opsgenie, such as 01234567-89ab-cdef-0123-456789abcdef"),
            _("enter the API key without spaces, also after you changed the address"),
        ),
        OptionField(
            "priorities",
            FieldKind.PAIRS,
            _("Other priorities"),
            _("One in each line, such as warning: P2. Without a line: critical P1, error P2, warning P3, info P5."),
            _("write lines such as warning: P2, with critical, error, warning or info, and P1 to P5"),
        ),
        OptionField(
            "webhook_secret",
            FieldKind.HIDDEN,
            _("Secret of the webhook"),
            _(
                "A secret of your choice that the webhook of Opsgenie sends as Authorization: Bearer, so that an acknowledgement there counts here."
            ),
            _WEBHOOK_SECRET_RULE,
        ),
    ),
    "syslog": (
        OptionField(
            "facility",
            FieldKind.CHOICE,
            _("Facility"),
            _("The facility of each line, such as daemon or local0."),
            _CHOOSE,
            FACILITIES,
        ),
        _CERTIFICATE,
    ),
    "snmp": (
        OptionField("version", FieldKind.CHOICE, _("Version"), _("3 is encrypted, 2c is not."), _CHOOSE, ("2c", "3")),
        OptionField(
            "form",
            FieldKind.CHOICE,
            _("Notification"),
            _("The receiver answers an inform, but not a trap."),
            _CHOOSE,
            ("trap", "inform"),
        ),
        OptionField(
            "community",
            FieldKind.HIDDEN,
            _("Community"),
            _("Only for version 2c; without it, public."),
            _HIDDEN_RULE,
        ),
        OptionField("user", FieldKind.TEXT, _("User"), _("Only for version 3, such as tocsin."), _USER_RULE),
        OptionField(
            "auth_protocol",
            FieldKind.CHOICE,
            _("Authentication"),
            _("Only for version 3, such as sha256."),
            _CHOOSE,
            ("sha", "sha256", "sha512"),
        ),
        OptionField(
            "auth_password",
            FieldKind.HIDDEN,
            _("Password for authentication"),
            _("Only for version 3: at least 8 characters for most receivers."),
            _SNMP_RULE,
        ),
        OptionField(
            "priv_protocol",
            FieldKind.CHOICE,
            _("Encryption"),
            _("Only for version 3, such as aes128."),
            _CHOOSE,
            ("aes128", "aes256"),
        ),
        OptionField(
            "priv_password",
            FieldKind.HIDDEN,
            _("Password for encryption"),
            _("Only for version 3, and only with a password for authentication."),
            _SNMP_RULE,
        ),
    ),
    "icinga2": (
        _HOST,
        _SERVICE,
        OptionField("user", FieldKind.TEXT, _("User"), _("The API user in Icinga, such as tocsin."), _USER_RULE),
        OptionField("password", FieldKind.HIDDEN, _("Password"), _("The password of this user."), _HIDDEN_RULE),
        OptionField(
            "ttl_s",
            FieldKind.NUMBER,
            _("A problem is valid for (seconds)"),
            _("Such as 3600. While the alert is open, it is sent again in time. Empty: always valid."),
            _("it must be a whole number from 60 to 2678400"),
        ),
        _CERTIFICATE,
    ),
    "nagios": (
        _HOST,
        _SERVICE,
        OptionField("token", FieldKind.HIDDEN, _("Token"), _("One of the tokens of NRDP."), _HIDDEN_RULE),
    ),
    "zabbix": (
        _HOST,
        OptionField(
            "key",
            FieldKind.TEXT,
            _("Key of the item"),
            _(
                'Of a trapper item, such as tocsin.state["{job}","{kind}"]. One item for each kind, so that the end of one problem does not hide another.'
            ),
            _("it must contain {kind} and have at most 500 characters"),
        ),
    ),
    "apprise": (
        OptionField(
            "url",
            FieldKind.HIDDEN,
            _("URL of the service"),
            _(
                "As Apprise writes it, such as ntfys://ntfy.example.org/backups. It is a secret, because it contains tokens."
            ),
            _("enter the URL, also after you changed the address"),
        ),
    ),
}

_ADDRESS_HINTS: Mapping[str, str] = {
    "webhook": _("A URL, such as https://hooks.example.org/tocsin"),
    "alertmanager": _(
        "The URL of Alertmanager, such as https://alertmanager.example.org; several with spaces between them"
    ),
    "pagerduty": _("https://events.pagerduty.com/v2/enqueue; in the EU https://events.eu.pagerduty.com/v2/enqueue"),
    "opsgenie": _("https://api.opsgenie.com; in the EU https://api.eu.opsgenie.com"),
    "syslog": _("The server, such as tls://logs.example.org:6514; also tcp:// and udp://"),
    "snmp": _("The receiver, such as snmp://nms.example.org:162"),
    "icinga2": _("The URL of Icinga's API, such as https://icinga.example.org:5665"),
    "nagios": _("The URL of NRDP, such as https://nagios.example.org/nrdp/"),
    "zabbix": _("The server or proxy, such as zabbix://zabbix.example.org:10051"),
    "apprise": _("A name of your choice, such as phone"),
}
_MAIL_HINT = _("A mail address, such as admin@example.org")


def address_hint(transport: str) -> str:
    """Return what an address of a transport looks like, in English."""
    return _ADDRESS_HINTS.get(transport, _MAIL_HINT)
