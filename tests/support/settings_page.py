"""Writes docs/settings.md from the descriptions in app/core/settings.py: `.venv/bin/python -m tests.support.settings_page`."""

import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from app.core.settings import _WITH_FILE, Settings
from tests.support.sources import ROOT

PAGE = ROOT / "docs" / "settings.md"
GROUPS = {
    "Where it runs": ("host", "port", "trusted_proxies", "connections", "connections_per_address", "base_url", "var_dir", "downloads_dir", "database_url", "database_pool", "worker", "job_metrics_most", "secret"),
    "The first start": ("admin_key", "enrol_key", "admin_email", "time_zone"),
    "Mail": (
        "smtp_url", "smtp_ehlo_name", "smtp_oauth_token", "smtp_oauth_token_file", "smtp_timeout_s", "smtp_connections", "smtp_messages_per_connection",
        "smtp_ca_file", "mail_from", "dkim_key_file", "dkim_selector", "graph_mailbox", "graph_url",
    ),
    "Access tokens instead of passwords": (
        "oauth_provider", "oauth_cloud", "oauth_tenant", "oauth_client_id", "oauth_client_secret", "oauth_secret_expires",
        "oauth_certificate_file", "oauth_service_account_file", "oauth_refresh_token", "oauth_token_url",
    ),
    "Sign-in by an identity provider": (
        "oidc_issuer", "oidc_client_id", "oidc_client_secret", "oidc_scopes", "oidc_groups_claim", "oidc_groups", "oidc_new_people",
        "oidc_link_by_email", "oidc_label",
    ),
    "Mail that comes back": ("bounce_address", "mailbox_url", "canary", "canary_within_min"),
    "Webhooks": ("webhook_allow_private", "webhook_timeout_s"),
    "Taking events in": ("event_limit", "batch_limit", "batch_events", "log_limit", "intake_queue", "key_events_a_minute", "key_new_agents_an_hour", "key_new_jobs_an_hour", "key_bytes_a_day"),
    "Mail of tools that can only mail": ("mail_in_port", "mail_in_host", "mail_in_limit", "mail_in_connections", "mail_in_connections_per_address", "mail_in_a_minute", "mail_in_cert"),
    "Sending and keeping": ("retry_for_h", "failover_after_min", "disk_free", "disk_reserve_mib", "keep_events_days", "keep_history_days"),
    "Who watches Tocsin": ("heartbeat_url", "heartbeat_kind", "heartbeat_every_s"),
    "The log": ("log_format", "log_level"),
}  # fmt: skip
OPENING = """# Settings

<!-- Written from app/core/settings.py; do not edit. To write it again: .venv/bin/python -m tests.support.settings_page -->

Every setting has a default: none must be set. If a value is invalid, or a name does not exist, the start fails with an error that names the setting.

There are three places for a setting. The first one that has it is used:

1. An environment variable, as named below: `TOCSIN_PORT=8080`.
2. For a secret: a file that holds it, named by the variable with `_FILE` added, as Docker and systemd pass secrets. These settings are marked *or file*.
3. A TOML file, named by `TOCSIN_CONFIG`; without that name, `tocsin.toml` in the folder `TOCSIN_VAR_DIR` (`var/tocsin.toml`) if it exists; `tocsin setup mail` writes
   to it. There the names are in lower case and without `TOCSIN_`:

```toml
port = 8080
database_url = "postgresql://tocsin:password@db.example.org/tocsin"
smtp_url = "smtp://user:password@mail.example.org:587?tls=starttls"
```

A change takes effect at the next start. Retention can also be set by the API; its values then apply in place of these settings (see
[scale.md](scale.md#how-long-things-are-kept)).
"""


def page() -> str:
    """Return the whole page."""
    return OPENING + "".join(_section(title, names) for title, names in GROUPS.items())


def _section(title: str, names: tuple[str, ...]) -> str:
    rows = "".join(_row(name, Settings.model_fields[name]) for name in names)
    return f"\n## {title}\n\n| setting | default | what it does |\n|---|---|---|\n{rows}"


def _row(name: str, field: FieldInfo) -> str:
    also = " *or file*" if name in _WITH_FILE else ""
    says = " ".join([str(field.description), *_allowed(field)])
    return f"| `TOCSIN_{name.upper()}`{also} | {_default(field.default)} | {says} |\n".replace("\n|", "|")


def _default(default: object) -> str:
    match default:
        case None:
            return "not set"
        case bool():
            return f"`{str(default).lower()}`"
        case Path():
            return f"`{default}/`"
        case _:
            return f"`{default}`"


def _allowed(field: FieldInfo) -> Iterator[str]:
    """Return the bounds as words to put after the description."""
    words = [one for one in _kinds(field.annotation) if one not in (types.NoneType, SecretStr)]
    if words and all(isinstance(one, str) for one in words):
        yield f"One of {', '.join(f'`{one}`' for one in words)}."
    found: dict[str, Any] = {type(one).__name__: one for one in field.metadata}
    low = f"at least {found['Ge'].ge}" if "Ge" in found else f"more than {found['Gt'].gt}" if "Gt" in found else ""
    high = f"at most {found['Le'].le}" if "Le" in found else ""
    if low or high:
        yield f"({', '.join(part for part in (low, high) if part)})"
    if "MinLen" in found:
        yield f"({found['MinLen'].min_length} characters or more)"


def _kinds(annotation: Any) -> list[Any]:
    if get_origin(annotation) is Literal:
        return list(get_args(annotation))
    return list(get_args(annotation)) if get_origin(annotation) in (Union, types.UnionType) else [annotation]


if __name__ == "__main__":
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page(), encoding="utf-8")
