"""The options of addresses over HTTP: one schema for each kind of transport to a program, with the fields of its domain type.

A secret that was set is returned as `set`. Left out or sent as `set`, it stays as it is, so what was read can be sent back.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields, replace
from datetime import UTC, datetime
from typing import Annotated, Literal, get_args, get_type_hints

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, field_validator

from app.compose.transport_test_mail import example_alerts, webhook_body
from app.core.errors import BadInput
from app.deliver.transports.body_template import LONGEST, render_body
from app.deliver.transports.document_alerts import SHOWN, unknown_names
from app.deliver.transports.syslog_line import FACILITIES
from app.domain.event import Severity
from app.domain.transport_options import (
    OPTIONS,
    AlertmanagerOptions,
    AppriseOptions,
    Icinga2Options,
    NagiosOptions,
    OpsgenieOptions,
    PagerdutyOptions,
    Sealed,
    SnmpOptions,
    SyslogOptions,
    TransportOptions,
    WebhookOptions,
    ZabbixOptions,
    is_secret_header,
)

_SET = "set"
_OUR_HEADERS = ("host", "content-length", "content-type", "transfer-encoding", "connection", "te", "trailer", "upgrade")
_NAMES = "Values may contain " + ", ".join(f"`{{{name}}}`" for name in SHOWN) + "."


def _known_names(template: str) -> str:
    if unknown := unknown_names(template):
        raise ValueError(f"unknown name {{{unknown[0]}}}")
    return template


def _known_facility(name: str) -> str:
    if name not in FACILITIES:
        raise ValueError("must be one of " + ", ".join(FACILITIES))
    return name


# Kept out of representations by OptionsSchema: which fields are secrets is known from the domain types.
HiddenText = Annotated[str, StringConstraints(min_length=1, max_length=4000, pattern=r"^[^\x00-\x1f\x7f]+$")]
# A token that is sent in a header: a space at its end, pasted with it, would make the header one that HTTP does not allow.
HeaderToken = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=4000, pattern=r"^[!-~]+$")
]
_SECRET_LEAST = 16


def _hard_to_guess(secret: str) -> str:
    if secret != _SET and len(secret) < _SECRET_LEAST:
        raise ValueError(
            f"must have at least {_SECRET_LEAST} characters, because whoever guesses it can acknowledge alerts"
        )
    return secret


WebhookSecret = Annotated[HeaderToken, AfterValidator(_hard_to_guess)]
Template = Annotated[str, StringConstraints(max_length=2000, pattern=r"^[^\x00]*$"), AfterValidator(_known_names)]
PromName = Annotated[str, StringConstraints(pattern=r"^[a-zA-Z_][a-zA-Z0-9_]{0,99}$")]
UserName = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f:]+$")]


# `{kind}` is in it: with one service for all kinds, the end of one problem would turn it green while another one is open.
ServiceName = Annotated[
    str, StringConstraints(min_length=1, max_length=500, pattern=r"\{kind\}"), AfterValidator(_known_names)
]
Certificate = Annotated[str, StringConstraints(max_length=20_000, pattern=r"^-----BEGIN CERTIFICATE-----")]
SnmpPassword = Annotated[str, StringConstraints(min_length=3, max_length=200, pattern=r"^[ -~]+$")]
Facility = Annotated[str, AfterValidator(_known_facility)]


def _own_header(name: str) -> str:
    if name.lower() in _OUR_HEADERS or name.lower().startswith("webhook-"):
        raise ValueError("this header is set by us")
    return name.lower()


HeaderName = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}$"), AfterValidator(_own_header)
]
HeaderValue = Annotated[
    str, StringConstraints(min_length=1, max_length=4000, pattern=r"^[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?$")
]


class OptionsSchema(BaseModel):
    """Options as they are sent and returned. An unknown field is refused."""

    model_config = ConfigDict(extra="forbid", from_attributes=True)

    def __repr_args__(self) -> Iterable[tuple[str | None, object]]:
        """Return only the kind: anything else may be a secret."""
        yield "kind", getattr(self, "kind", None)


class AlertmanagerOptionsSchema(OptionsSchema):
    """How alerts become alerts of a Prometheus Alertmanager."""

    kind: Literal["alertmanager"] = Field("alertmanager", description="As `transport`; may be left out.")
    labels: dict[PromName, Template] = Field(
        default_factory=dict,
        max_length=30,
        description="Labels next to or in place of the usual ones; an empty value leaves one out. " + _NAMES,
        examples=[{"team": "backup", "instance": "{agent}"}],
    )
    annotations: dict[PromName, Template] = Field(
        default_factory=dict,
        max_length=30,
        description="Annotations next to or in place of the usual ones; an empty value leaves one out. " + _NAMES,
    )
    user: UserName | None = Field(None, description="For basic authentication.")
    password: HiddenText | None = Field(None, description="For basic authentication.")
    bearer_token: HeaderToken | None = Field(None, description="Sent in place of user and password.")
    refresh_s: int = Field(
        60,
        ge=5,
        le=3600,
        description="After how many seconds open alerts are sent again; less than half of Alertmanager's `resolve_timeout`.",
    )


class PagerdutyOptionsSchema(OptionsSchema):
    """The integration of a PagerDuty service (Events API v2)."""

    kind: Literal["pagerduty"] = Field("pagerduty", description="As `transport`; may be left out.")
    routing_key: HiddenText | None = Field(
        None, description="The integration key of the service. It must be known when an address is added."
    )
    severities: dict[Severity, Literal["critical", "error", "warning", "info"]] = Field(
        default_factory=dict, description="Which severity there stands for one of ours; left out: the same."
    )
    webhook_secret: WebhookSecret | None = Field(
        None,
        description="The secret of PagerDuty's webhook subscription, which signs what it sends to `/v1/acknowledgements/pagerduty/{recipient}`.",
    )


class OpsgenieOptionsSchema(OptionsSchema):
    """The integration of Opsgenie (Alert API v2)."""

    kind: Literal["opsgenie"] = Field("opsgenie", description="As `transport`; may be left out.")
    api_key: HeaderToken | None = Field(
        None, description="The API key of the integration. It must be known when an address is added."
    )
    priorities: dict[Severity, Literal["P1", "P2", "P3", "P4", "P5"]] = Field(
        default_factory=dict,
        description="Which priority stands for a severity; left out: critical P1, error P2, warning P3, info P5.",
    )
    webhook_secret: WebhookSecret | None = Field(
        None,
        description="A secret of your choice. Opsgenie's webhook sends it to `/v1/acknowledgements/opsgenie/{recipient}` in the header `Authorization: Bearer`.",
    )


class WebhookOptionsSchema(OptionsSchema):
    """What a webhook posts, and with which headers."""

    kind: Literal["webhook"] = Field("webhook", description="As `transport`; may be left out.")
    format: Literal["standard", "cloudevents", "slack", "teams", "discord", "google_chat"] = Field(
        "standard", description="The standard document, a structured CloudEvent 1.0, or the message of a chat service."
    )
    template: str | None = Field(
        None,
        max_length=LONGEST,
        description="A Jinja template of a JSON body, in place of `format`: `{{ data.subject | tojson }}`.",
    )
    headers: dict[HeaderName, HeaderValue] = Field(
        default_factory=dict,
        max_length=20,
        description="Further headers. A name such as `authorization`, `cookie` or `x-api-key` belongs into `secret_headers`.",
    )
    secret_headers: dict[HeaderName, HeaderValue] = Field(
        default_factory=dict, max_length=20, description="Further headers, with values that are never returned."
    )

    @field_validator("template")
    @classmethod
    def _renders(cls, template: str | None) -> str | None:
        if template is not None:
            at = datetime(2026, 1, 1, tzinfo=UTC)
            kinds = ("opened", "repeated", "acknowledged", "recovered")
            examples = [example_alerts(at, "https://tocsin.example.org", what) for what in kinds]
            for body in (*examples, webhook_body(at, "https://tocsin.example.org")):
                render_body(template, json.loads(body))
        return template


class SyslogOptionsSchema(OptionsSchema):
    """How lines are written to a syslog server."""

    kind: Literal["syslog"] = Field("syslog", description="As `transport`; may be left out.")
    facility: Facility = Field("daemon", description="The facility of each line.")
    ca_certificate: Certificate | None = Field(None, description="Certificate of an authority of your own, as PEM.")


class SnmpOptionsSchema(OptionsSchema):
    """How SNMP notifications are sent."""

    kind: Literal["snmp"] = Field("snmp", description="As `transport`; may be left out.")
    version: Literal["2c", "3"] = Field("2c", description="Version of SNMP.")
    form: Literal["trap", "inform"] = Field("trap", description="`inform` is answered, `trap` is not.")
    community: HiddenText | None = Field(None, description="Of version 2c; `public` without it.")
    user: UserName | None = Field(None, description="Of version 3, as of the next four.")
    auth_protocol: Literal["sha", "sha256", "sha512"] = Field("sha256", description="How messages are authenticated.")
    auth_password: SnmpPassword | None = Field(None, description="For authentication.")
    priv_protocol: Literal["aes128", "aes256"] = Field("aes128", description="How messages are encrypted.")
    priv_password: SnmpPassword | None = Field(None, description="For encryption; needs `auth_password`.")


class Icinga2OptionsSchema(OptionsSchema):
    """How alerts become passive results of services in Icinga 2."""

    kind: Literal["icinga2"] = Field("icinga2", description="As `transport`; may be left out.")
    host: Template = Field("{agent}", min_length=1, description="Name of the host. " + _NAMES)
    service: ServiceName = Field("{job} {kind}", description="Name of the service; must contain `{kind}`. " + _NAMES)
    user: UserName = Field("tocsin", description="The API user.")
    password: HiddenText | None = Field(None, description="Its password.")
    ttl_s: int | None = Field(
        None,
        ge=60,
        le=2_678_400,
        description="Seconds after which a result that reports trouble is no longer valid. While the alert is open it is sent again after a third of them, at the latest after an hour.",
    )
    ca_certificate: Certificate | None = Field(None, description="Certificate of Icinga's own authority, as PEM.")


class NagiosOptionsSchema(OptionsSchema):
    """How alerts become passive results of services in Nagios, by NRDP."""

    kind: Literal["nagios"] = Field("nagios", description="As `transport`; may be left out.")
    host: Template = Field("{agent}", min_length=1, description="Name of the host. " + _NAMES)
    service: ServiceName = Field("{job} {kind}", description="Name of the service; must contain `{kind}`. " + _NAMES)
    token: HiddenText | None = Field(None, description="NRDP's token.")


class ZabbixOptionsSchema(OptionsSchema):
    """How alerts become values of trapper items in Zabbix."""

    kind: Literal["zabbix"] = Field("zabbix", description="As `transport`; may be left out.")
    host: Template = Field("{agent}", min_length=1, description="Name of the host. " + _NAMES)
    key: ServiceName = Field(
        'tocsin.state["{job}","{kind}"]', description="Key of the item; must contain `{kind}`. " + _NAMES
    )


class AppriseOptionsSchema(OptionsSchema):
    """One service that Apprise knows."""

    kind: Literal["apprise"] = Field("apprise", description="As `transport`; may be left out.")
    url: HiddenText | None = Field(
        None, description="URL of the service, as Apprise writes it.", examples=["ntfys://ntfy.example.org/backups"]
    )


Options = Annotated[
    WebhookOptionsSchema
    | AlertmanagerOptionsSchema
    | PagerdutyOptionsSchema
    | OpsgenieOptionsSchema
    | SyslogOptionsSchema
    | SnmpOptionsSchema
    | Icinga2OptionsSchema
    | NagiosOptionsSchema
    | ZabbixOptionsSchema
    | AppriseOptionsSchema,
    Field(discriminator="kind"),
]
_SCHEMAS: Mapping[type[TransportOptions], type[OptionsSchema]] = {
    WebhookOptions: WebhookOptionsSchema,
    AlertmanagerOptions: AlertmanagerOptionsSchema,
    PagerdutyOptions: PagerdutyOptionsSchema,
    OpsgenieOptions: OpsgenieOptionsSchema,
    SyslogOptions: SyslogOptionsSchema,
    SnmpOptions: SnmpOptionsSchema,
    Icinga2Options: Icinga2OptionsSchema,
    NagiosOptions: NagiosOptionsSchema,
    ZabbixOptions: ZabbixOptionsSchema,
    AppriseOptions: AppriseOptionsSchema,
}
_NEEDED: Mapping[str, str] = {"pagerduty": "routing_key", "opsgenie": "api_key", "apprise": "url"}


def with_kind(address: Mapping[str, object]) -> Mapping[str, object]:
    """Return an address as it was sent, with the name of its transport in its options, by which their schema is chosen."""
    transport, options = address.get("transport"), address.get("options")
    if transport not in OPTIONS:
        if options is not None:
            raise ValueError("options are not for this transport")
        return address
    if options is None:
        return address if transport == "webhook" else {**address, "options": {"kind": transport}}
    return {**address, "options": {**options, "kind": transport}} if isinstance(options, dict) else address


def shown_options(options: object) -> object:
    """Return options of the domain as they are shown: `set` in place of each secret."""
    schema = _SCHEMAS.get(type(options))  # type: ignore[arg-type]
    if schema is None:
        return options
    if isinstance(options, WebhookOptions):
        options = _with_secrets_sealed(options, lambda _: "")
    values = {
        field.name: _shown(getattr(options, field.name))
        for field in fields(OPTIONS[str(schema.model_fields["kind"].default)])
    }
    return schema.model_validate(values)


def sealed_options(sent: Options, seal: Callable[[str], str], before: TransportOptions | None) -> TransportOptions:
    """Return options of the domain. Raises BadInput if a secret is to be kept that is not known."""
    if isinstance(sent, WebhookOptionsSchema) and (wrong := next(filter(is_secret_header, sent.headers), None)):
        raise BadInput(
            f"{wrong} is a secret: put it into secret_headers, whose values are never shown", field="options.headers"
        )
    if isinstance(before, WebhookOptions):
        before = _with_secrets_sealed(before, seal)
    kind = OPTIONS[sent.kind]
    hints = get_type_hints(kind)
    values = {field.name: getattr(sent, field.name) for field in fields(kind)}
    for name, value in values.items():
        if not _holds_secret(hints[name]):
            continue
        kept = getattr(before, name, None)
        if isinstance(value, Mapping):
            known = kept if isinstance(kept, Mapping) else {}
            values[name] = {key: _sealed(key, one, known.get(key), seal) for key, one in value.items()}
            if not value and name not in sent.model_fields_set:
                values[name] = known
        else:
            values[name] = kept if value is None else _sealed(name, value, kept, seal)
    if (needed := _NEEDED.get(sent.kind)) is not None and values[needed] is None:
        raise BadInput(f"{needed} is missing", field=f"options.{needed}")
    return kind(**values)


def _with_secrets_sealed(options: WebhookOptions, seal: Callable[[str], str]) -> WebhookOptions:
    """Return options in which no secret is among the plain headers, as it could be before they were refused there."""
    secret = {name: Sealed(seal(value)) for name, value in options.headers.items() if is_secret_header(name)}
    plain = {name: value for name, value in options.headers.items() if name not in secret}
    return replace(options, headers=plain, secret_headers={**secret, **options.secret_headers})


def _sealed(name: str, value: str, kept: Sealed | None, seal: Callable[[str], str]) -> Sealed:
    if value != _SET:
        return Sealed(seal(value))
    if kept is None:
        raise BadInput(f"{name} is not known for this address: send it", field=f"options.{name}")
    return kept


def _holds_secret(hint: object) -> bool:
    return hint is Sealed or any(_holds_secret(part) for part in get_args(hint))


def _shown(value: object) -> object:
    if isinstance(value, Sealed):
        return _SET
    if isinstance(value, Mapping):
        return {name: _shown(one) for name, one in value.items()}
    return list(value) if isinstance(value, tuple) else value
