"""Every setting of the service, with its type. A wrong one stops the start, and is named. Nothing else reads the environment.

Read from `TOCSIN_*`, then from the TOML file named by `TOCSIN_CONFIG`, or without that name from `tocsin.toml` in the folder of
`TOCSIN_VAR_DIR`, where `tocsin setup mail` writes it; a secret `X` may be in the file named by `TOCSIN_X_FILE`.
"""

import os
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, InitSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from app.core.config_file import read_config, read_environment
from app.core.disk import read_limit
from app.core.errors import BadSettings
from app.core.heartbeat_url import HeartbeatKind, check_heartbeat_url
from app.core.networks import check_networks
from app.core.oauth_settings import CloudName, OAuthSettings, Provider, check_oauth
from app.core.oidc_settings import check_oidc
from app.core.settings_checks import (
    check_bounce_address,
    check_database,
    check_mail,
    check_mailbox,
    check_sender,
    describe_error,
    read_ehlo_name,
)
from app.core.sign_in_settings import SignInSettings
from app.core.time_zones import read_time_zone

MIB = 1024 * 1024


_ALL_ADDRESSES = ("0.0.0.0", "::")  # noqa: S104  (compared, not bound)
TimeZone = Annotated[str, AfterValidator(read_time_zone)]
Networks = Annotated[str, AfterValidator(check_networks)]
EhloName = Annotated[str, AfterValidator(read_ehlo_name)]
_WITH_FILE = (
    "admin_key",
    "enrol_key",
    "smtp_url",
    "mailbox_url",
    "database_url",
    "secret",
    "smtp_oauth_token",
    "oauth_client_secret",
    "oauth_refresh_token",
    "heartbeat_url",
    "oidc_client_secret",
)


class Settings(SignInSettings, BaseSettings):
    """The settings. A test compares `docs/settings.md` with these descriptions."""

    model_config = SettingsConfigDict(env_prefix="TOCSIN_", extra="forbid", frozen=True)

    host: str = Field("127.0.0.1", description="Address that the HTTP server listens on.")
    port: int = Field(8000, ge=0, le=65535, description="Port that the HTTP server listens on; 0 takes a free one.")
    trusted_proxies: Networks = Field(
        "127.0.0.0/8, ::1",
        description="Addresses and networks, separated by commas, of reverse proxies: many senders use one such address, so no limit for one address applies to it. If you set it, the address in the `X-Forwarded-For` of these proxies counts for `from_addresses` of keys.",
    )
    connections: int = Field(
        2000,
        ge=50,
        le=100_000,
        description="HTTP connections that may be open at the same time. When this number is reached, a new connection replaces the oldest one without a complete request.",
    )
    connections_per_address: int = Field(
        200,
        ge=1,
        le=100_000,
        description="The same for one address, of IPv6 for one network of 64 bits.",
    )
    base_url: str | None = Field(
        None, pattern=r"^https?://", description="Address under which people reach us; links in mails begin with it."
    )
    var_dir: Path = Field(
        Path("var"),
        description="Folder of all files that Tocsin writes: the embedded database, mails of the file transport.",
    )
    downloads_dir: Path | None = Field(
        None,
        description="Folder with the relay's MSI files, for `/downloads`; without it, the folder `dist` of the checkout.",
    )
    database_url: SecretStr | None = Field(
        None, description="`postgresql://user:password@host/name`; without it an embedded SQLite in `var_dir` is used."
    )
    database_pool: int = Field(8, ge=2, le=100, description="Connections to PostgreSQL held by one process.")
    worker: bool = Field(
        True,
        description="Whether `tocsin serve` also runs the worker, on PostgreSQL as a separate process. On SQLite it always does.",
    )
    secret: SecretStr | None = Field(
        None,
        min_length=32,
        description="Secret that keys are hashed with; without it, one is created and kept in `var_dir`. Hosts that share a database must share it.",
    )
    admin_key: SecretStr | None = Field(None, min_length=16, description="Fixed admin key in place of a generated one.")
    enrol_key: SecretStr | None = Field(
        None, min_length=16, description="Fixed enrolment key for agents in place of a generated one."
    )
    admin_email: str | None = Field(
        None,
        pattern=r"^[^@\s<>]+@[^@\s<>]+$",
        description="Mail address of the recipient `admin`, used once `smtp_url` or `graph_mailbox` is set.",
    )
    time_zone: TimeZone = Field(
        "UTC", description="Time zone of the first customer and the first summary, for example `Europe/Berlin`."
    )

    smtp_url: SecretStr | None = Field(
        None,
        description="`smtp://user:password@host:587?tls=starttls`; tls is `none`, `starttls` (required) or `tls`; auth is `plain`, `login` or `xoauth2`. "
        "Several URLs, separated by white space: the next server is used when the one before it cannot be reached or refuses Tocsin.",
    )
    smtp_ehlo_name: EhloName | None = Field(
        None,
        description="Name that Tocsin sends to mail servers in EHLO, such as `tocsin.example.org`; without it, the full name of this host.",
    )
    smtp_oauth_token: SecretStr | None = Field(
        None,
        description="Access token for `auth=xoauth2` that another program gets; `TOCSIN_SMTP_OAUTH_TOKEN_FILE` is read again at each login. With `TOCSIN_OAUTH_PROVIDER` neither is needed.",
    )
    smtp_oauth_token_file: Path | None = Field(
        None, description="File with the access token, read again at each login."
    )
    smtp_timeout_s: float = Field(30, gt=0, le=600, description="Longest wait for one SMTP command, in seconds.")
    smtp_connections: int = Field(4, ge=1, le=100, description="SMTP connections that may be open at the same time.")
    smtp_messages_per_connection: int = Field(
        100, ge=1, description="Messages after which an SMTP connection is closed and opened again."
    )
    smtp_ca_file: Path | None = Field(
        None, description="PEM file with a certificate authority of your own, for SMTP and IMAP."
    )
    mail_from: str = Field(
        "Tocsin <tocsin@localhost>",
        description="Sender of every mail. Without it, the mailbox `graph_mailbox` if that is set.",
    )
    bounce_address: str | None = Field(
        None,
        description="Address to which mails that could not be delivered come back, such as `bounces@example.org`; see [mail-bounces.md](mail-bounces.md).",
    )
    graph_mailbox: str | None = Field(
        None,
        pattern=r"^[^@\s<>]+@[^@\s<>]+$",
        description="Mailbox in Exchange Online that the transport `graph` sends from; needs `oauth_provider=microsoft`.",
    )
    graph_url: str | None = Field(None, description="Address of Microsoft Graph in place of the cloud's own.")

    oauth_provider: Provider | None = Field(
        None,
        description="`microsoft` or `google`: who issues the access tokens for `graph`, and for `auth=xoauth2` of SMTP and IMAP.",
    )
    oauth_cloud: CloudName = Field("global", description="Microsoft's cloud that the tenant is in.")
    oauth_tenant: str | None = Field(None, description="Microsoft: id or domain of the tenant.")
    oauth_client_id: str | None = Field(None, description="Id of the app registration, or of Google's OAuth client.")
    oauth_client_secret: SecretStr | None = Field(
        None, min_length=1, description="Secret of the app registration, or of Google's OAuth client."
    )
    oauth_secret_expires: date | None = Field(
        None,
        description="Day on which the secret of the app registration expires, such as `2027-06-30`: an alert and `tocsin doctor` then report it 30 days before.",
    )
    oauth_certificate_file: Path | None = Field(
        None, description="Microsoft: PEM file with certificate and RSA key, in place of a secret."
    )
    oauth_service_account_file: Path | None = Field(
        None, description="Google: JSON key file of a service account with domain-wide delegation."
    )
    oauth_refresh_token: SecretStr | None = Field(
        None, min_length=1, description="Google: refresh token of one account, in place of a service account."
    )
    oauth_token_url: str | None = Field(
        None, description="Address of the token service in place of the provider's own."
    )

    canary: bool = Field(
        True,
        description="Whether a small test mail is sent once a day by each transport and each relay to `bounce_address`, to see that mail arrives; see [mail-bounces.md](mail-bounces.md#canary-mails).",
    )
    canary_within_min: float = Field(
        15, gt=0, le=1440, description="Minutes after which a canary mail that has not arrived opens an alert."
    )
    dkim_key_file: Path | None = Field(
        None,
        description="PEM file with the RSA key that signs mails over SMTP (DKIM) for the domain of `mail_from`; `tocsin doctor` shows the record to publish in DNS.",
    )
    dkim_selector: str | None = Field(
        None, description="Name of that key in DNS: the record is `<selector>._domainkey.<domain>`."
    )
    mailbox_url: SecretStr | None = Field(
        None,
        description="`imaps://user:password@host/INBOX`: mailbox in which Tocsin looks for mails that came back; "
        "`?auth=xoauth2` uses access tokens, `?move=Folder` moves what was read.",
    )
    webhook_allow_private: bool = Field(
        False,
        description="Whether webhooks may reach private and loopback addresses. 6to4 addresses (`2002::/16`) count as private: "
        "they can lead to any IPv4 address.",
    )
    webhook_timeout_s: float = Field(15, gt=0, le=120, description="Longest wait for a webhook's answer, in seconds.")

    heartbeat_url: SecretStr | None = Field(
        None,
        description="Address of a check at Healthchecks, Uptime Kuma or Dead Man's Snitch that is pinged while the whole pipeline works; "
        "see [monitoring/heartbeat.md](monitoring/heartbeat.md).",
    )
    heartbeat_kind: HeartbeatKind = Field(
        "auto",
        description="`healthchecks`, `uptime-kuma`, or `plain`, which has no ping for a failure; `auto` chooses by the address.",
    )
    heartbeat_every_s: int = Field(60, ge=5, le=3600, description="Seconds between two pings of `heartbeat_url`.")

    event_limit: int = Field(
        MIB,
        ge=1024,
        le=64 * MIB,
        description="Largest body with one event, in bytes, both before and after decompression.",
    )
    batch_limit: int = Field(
        16 * MIB,
        ge=1024,
        le=256 * MIB,
        description="Largest body with many events, in bytes, both before and after decompression.",
    )
    batch_events: int = Field(10_000, ge=1, le=100_000, description="Most events in one batch.")
    log_limit: int = Field(
        64 * 1024,
        ge=1024,
        le=MIB,
        description="Longest log of one event that is kept, in bytes; of a longer one the beginning and the end are kept.",
    )
    intake_queue: int = Field(
        20_000,
        ge=100,
        le=1_000_000,
        description="Largest number of events that wait for the next commit; beyond it, requests get 503.",
    )
    job_metrics_most: int = Field(
        100_000,
        ge=0,
        le=10_000_000,
        description="The largest number of jobs that `/metrics/jobs` shows, those with problems first; `tocsin_jobs_left_out` counts the others.",
    )
    key_events_a_minute: int = Field(
        30_000,
        ge=1,
        le=1_000_000_000,
        description="Events that one key may send in a minute; beyond it, events that report no problem get 429. A key can have a limit of its own for this and for the next three settings.",
    )
    key_new_agents_an_hour: int = Field(
        1_000, ge=1, le=1_000_000_000, description="Agents that one enrolment key may create in an hour."
    )
    key_new_jobs_an_hour: int = Field(
        10_000, ge=1, le=1_000_000_000, description="Jobs that one key may create in an hour."
    )
    key_bytes_a_day: int = Field(
        8 * 1024 * MIB,
        ge=MIB,
        le=10**15,
        description="Bytes of reports, after decompression, that one key may send in a day (UTC).",
    )

    mail_in_port: int | None = Field(
        None,
        ge=0,
        le=65535,
        description="Port on which mails of tools that can only send mail are received; without it, none are.",
    )
    mail_in_host: str = Field("127.0.0.1", description="Address that the mail listener listens on.")
    mail_in_limit: int = Field(
        10 * MIB,
        ge=10 * 1024,
        le=64 * MIB,
        description="Largest mail that is received, in bytes; of its text at most `log_limit` bytes are kept.",
    )
    mail_in_connections: int = Field(
        200,
        ge=10,
        le=10_000,
        description="Connections to the mail listener that may be open at the same time, a fifth of them only for addresses that sent a valid mail within 8 days. When this number is reached, a new connection replaces the oldest one that has named no valid address of Tocsin.",
    )
    mail_in_connections_per_address: int = Field(
        50, ge=1, le=10_000, description="The same for one address, of IPv6 for one network of 64 bits."
    )
    mail_in_a_minute: int = Field(
        60,
        ge=1,
        le=10_000,
        description="Mails per minute that are received under one key; beyond it, only those that report a failure.",
    )
    mail_in_cert: Path | None = Field(
        None, description="Certificate (with its key in the same PEM file) by which the mail listener offers STARTTLS."
    )

    retry_for_h: float = Field(
        72, gt=0, le=720, description="For how long a message that cannot be sent is tried, in hours."
    )
    failover_after_min: float = Field(
        15,
        gt=0,
        le=1440,
        description="Minutes that an alert waits for a transport before the recipient's next one is used, if there is one.",
    )
    disk_free: Annotated[str, AfterValidator(read_limit)] | None = Field(
        None,
        description="Free space on the disks of the database and of `var_dir` below which an alert opens, such as `5%` or `2GiB`; `0%` never opens one. "
        "Without it, 1 GiB, or a tenth of a disk smaller than 10 GiB.",
    )
    disk_reserve_mib: int = Field(
        16,
        ge=0,
        le=1024,
        description="Disk space in MiB that is reserved next to the embedded SQLite, so that a full disk can still be reported; at most a twentieth of the disk; 0 reserves none.",
    )
    keep_events_days: int = Field(
        90, ge=1, le=36_500, description="Days that events are kept; jobs, open alerts and daily sums are kept longer."
    )
    keep_history_days: int = Field(
        400,
        ge=15,
        le=36_500,
        description="Days that runs, daily sums, closed alerts, notices, messages, mail files and the audit log are kept.",
    )
    log_format: Literal["text", "json"] = Field("text", description="How the log is written to standard error.")
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="The lowest level that is logged."
    )

    @property
    def is_sqlite(self) -> bool:
        """Whether the embedded SQLite is used."""
        return self.database.startswith("sqlite")

    @property
    def database_file(self) -> Path | None:
        """The file of the embedded SQLite; None on PostgreSQL."""
        return Path(self.database.split(":///", 1)[1]) if self.is_sqlite else None

    @property
    def database(self) -> str:
        """The URL of the database in SQLAlchemy's form, with our drivers."""
        if self.database_url is None:
            return f"sqlite+aiosqlite:///{self.var_dir / 'tocsin.db'}"
        url = self.database_url.get_secret_value()
        for plain, driver in (
            ("postgres://", "postgresql+asyncpg://"),
            ("postgresql://", "postgresql+asyncpg://"),
            ("sqlite://", "sqlite+aiosqlite://"),
        ):
            if url.startswith(plain):
                return driver + url[len(plain) :].replace("sslmode=", "ssl=")  # libpq's name and asyncpg's
        return url

    @property
    def oauth(self) -> OAuthSettings:
        """What the settings say about OAuth2, without the secrets."""
        return OAuthSettings(
            provider=self.oauth_provider,
            tenant=self.oauth_tenant,
            client_id=self.oauth_client_id,
            has_secret=self.oauth_client_secret is not None,
            certificate_file=self.oauth_certificate_file,
            service_account_file=self.oauth_service_account_file,
            has_refresh_token=self.oauth_refresh_token is not None,
            token_url=self.oauth_token_url,
            graph_mailbox=self.graph_mailbox,
            graph_url=self.graph_url,
            secret_expires=self.oauth_secret_expires,
        )

    @property
    def mail_transports(self) -> tuple[str, ...]:
        """The transports by which the service itself can send mail. Relays send by `mapi`."""
        wanted = {"smtp": self.smtp_url, "graph": self.graph_mailbox}
        return tuple(kind for kind, setting in wanted.items() if setting is not None)

    def plain_values(self, *prefixes: str) -> dict[str, str]:
        """Return the settings whose names begin so, as texts, with their secrets: only to make a fingerprint of them."""
        values = {name: getattr(self, name) for name in type(self).model_fields if name.startswith(prefixes)}
        return {name: str(_plain(it) if isinstance(it, SecretStr) else it) for name, it in values.items()}

    @property
    def sends_canaries(self) -> bool:
        """Whether canary mails are sent: only where we can see that they arrive."""
        can_see = self.mail_in_port is not None or self.mailbox_url is not None
        return self.canary and self.bounce_address is not None and can_see

    @property
    def public_url(self) -> str:
        """The URL that links begin with, without a slash at its end."""
        return (self.base_url or f"http://{self.host}:{self.port}").rstrip("/")

    @property
    def local_url(self) -> str:
        """The URL of the service for a program on this host."""
        host = "127.0.0.1" if self.host in _ALL_ADDRESSES else self.host
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}"

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003  (named by pydantic-settings)
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Set the order: arguments, environment, secrets in files, TOML."""
        toml = InitSettingsSource(settings_cls, read_config(Settings.model_fields))
        return (init_settings, env_settings, _FromFiles(settings_cls), toml)


class _FromFiles(PydanticBaseSettingsSource):
    """Reads `TOCSIN_X_FILE` for each secret X, as Docker and systemd pass secrets."""

    def get_field_value(self, field: Any, field_name: str) -> tuple[Any, str, bool]:  # noqa: ANN401, ARG002
        """Return the file's text without white space at its ends, or None."""
        name = f"TOCSIN_{field_name.upper()}_FILE"
        path = read_environment().get(name) if field_name in _WITH_FILE else None
        if path is None:
            return None, field_name, False
        try:
            return Path(path).read_text(encoding="utf-8").strip(), field_name, False
        except OSError as cause:
            raise BadSettings(f"{name}: cannot read {path}: {cause.strerror}") from cause
        except UnicodeDecodeError as cause:
            raise BadSettings(f"{name}: {path} is not text in UTF-8") from cause

    def __call__(self) -> dict[str, Any]:
        """Return every secret that is in a file."""
        found = {name: self.get_field_value(field, name)[0] for name, field in self.settings_cls.model_fields.items()}
        return {name: value for name, value in found.items() if value is not None}


def load_settings(**arguments: Any) -> Settings:  # noqa: ANN401
    """Read the settings. Raises BadSettings with the name and rule of each wrong setting, never its value."""
    known = {f"TOCSIN_{name.upper()}" for name in Settings.model_fields}
    known |= {f"TOCSIN_{name.upper()}_FILE" for name in _WITH_FILE} | {"TOCSIN_CONFIG"}
    for name in os.environ:  # a typo that is ignored can mean that no mail is ever sent
        if name.upper().startswith("TOCSIN_") and name.upper() not in known:
            raise BadSettings(f"{name}: there is no such setting")
    try:
        settings = Settings(**arguments)
    except ValidationError as wrong:
        raise BadSettings("; ".join(_describe(dict(e)) for e in wrong.errors(include_input=False))) from None
    if settings.graph_mailbox is not None and "mail_from" not in settings.model_fields_set:
        settings = settings.model_copy(update={"mail_from": f"Tocsin <{settings.graph_mailbox}>"})
    if settings.database_url is not None:
        check_database(settings.database)
    check_mail(
        _plain(settings.smtp_url),
        _plain(settings.smtp_oauth_token),
        settings.smtp_oauth_token_file,
        settings.smtp_ca_file,
        has_provider=settings.oauth_provider is not None,
    )
    check_sender(settings.mail_from)
    check_bounce_address(settings.bounce_address)
    check_mailbox(_plain(settings.mailbox_url), has_provider=settings.oauth_provider is not None)
    check_oauth(settings.oauth)
    check_heartbeat_url(_plain(settings.heartbeat_url))
    check_oidc(settings.oidc, settings.oidc_issuer, settings.oidc_client_id)
    return settings


def _describe(error: dict[str, Any]) -> str:
    name = str(error["loc"][0]) if error["loc"] else ""
    field = Settings.model_fields.get(name)
    rules = field.metadata if field is not None else []
    words = describe_error(error["type"], error.get("ctx", {}), error["msg"], name, rules)
    variable, file = f"TOCSIN_{name.upper()}", f"TOCSIN_{name.upper()}_FILE"
    environment = read_environment()
    if name in _WITH_FILE and file in environment and variable not in environment:
        variable = file  # the one that was set
    return f"{variable}: {words}"


def _plain(secret: SecretStr | None) -> str | None:
    return None if secret is None else secret.get_secret_value()
