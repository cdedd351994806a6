"""The tables of people who sign in: who they are, their sessions, links that sign in once, and failed sign-ins."""

from sqlalchemy import BigInteger, Column, ForeignKey, Integer, String, Table, Text

from app.store.tables import ID
from app.store.types import Json, Utc, metadata

people = Table(
    "people",
    metadata,
    Column("id", ID, primary_key=True),
    Column("name", String(200), nullable=False),
    Column("email", String(254), nullable=False, unique=True),  # in small letters
    Column("role", String(14), nullable=False),  # reader | operator | administrator | owner
    Column("customers", Json),  # ids; None: every customer
    Column("language", String(8)),
    Column("zone", String(64)),
    Column("password_hash", Text),  # argon2id; None: signs in by OIDC or a link only
    Column("codes_secret", Text),  # of one-time codes (TOTP), encrypted with the server secret
    Column("codes_since", Utc),  # None: not confirmed, so not asked for
    Column("codes_step", BigInteger),  # the step of the last code that was used: none is accepted twice
    Column("recovery_hashes", Json),  # of those that were not used
    Column("external_id", String(600), unique=True),  # issuer and subject of OIDC
    Column("created_at", Utc, nullable=False),
    Column("last_sign_in_at", Utc),
    Column("disabled_at", Utc),
    Column("version", Integer, nullable=False, server_default="1"),
)

sessions = Table(
    "sessions",
    metadata,
    Column("id", ID, primary_key=True),
    Column("person_id", ID, ForeignKey("people.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("hash", String(64), nullable=False, unique=True),  # HMAC-SHA-256, hex
    Column("way", String(10), nullable=False),  # password | link | provider
    Column("created_at", Utc, nullable=False),
    Column("seen_at", Utc, nullable=False, index=True),
    Column("proved_at", Utc, nullable=False),  # when the person last showed who they are
    Column("address", String(64)),
    Column("browser", String(200)),
    Column("revoked_at", Utc),
)

one_time_links = Table(
    "one_time_links",
    metadata,
    Column("id", ID, primary_key=True),
    Column("purpose", String(10), nullable=False),  # first | invite | reset
    Column("person_id", ID, ForeignKey("people.id", ondelete="CASCADE")),
    Column("hash", String(64), nullable=False, unique=True),  # HMAC-SHA-256, hex
    Column("created_at", Utc, nullable=False),
    Column("expires_at", Utc, nullable=False),
    Column("used_at", Utc),
)

failed_sign_ins = Table(
    "failed_sign_ins",
    metadata,
    Column("subject", String(64), primary_key=True),  # a keyed hash of address and name, of a browser, or of an address
    Column("failures", Integer, nullable=False),
    Column("last_at", Utc, nullable=False, index=True),
)
