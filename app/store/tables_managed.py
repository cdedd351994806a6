"""The tables of what administrators edit, and of people: recipients, routes, rules, silences, summaries, keys, audit, accounts, sessions.

`customer_id` is None where a thing holds for every customer, as a service provider's own routes do.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from app.store.tables import ID
from app.store.types import Json, Utc, metadata

recipients = Table(
    "recipients",
    metadata,
    Column("id", ID, primary_key=True),
    Column("customer_id", ID, ForeignKey("customers.id")),
    Column("name", String(200), nullable=False, unique=True),
    Column("transports", Json, nullable=False),  # [{"transport", "address"}], first choice first
    Column("follows_settings", Boolean, nullable=False),  # the first `admin`, until it is edited
    Column("created_at", Utc, nullable=False),
    Column("version", Integer, nullable=False, server_default="1"),
)

routes = Table(
    "routes",
    metadata,
    Column("id", ID, primary_key=True),
    Column("customer_id", ID, ForeignKey("customers.id")),
    Column("name", String(200), nullable=False, unique=True),
    Column("position", Integer, nullable=False),
    Column("enabled", Boolean, nullable=False),
    Column("matchers", Json, nullable=False),
    Column("recipients", Json, nullable=False),  # ids
    Column("group_by", Json, nullable=False),  # fields: customer, agent, job, kind, activity, label:NAME
    Column("group_wait_s", Integer, nullable=False),
    Column("group_interval_s", Integer, nullable=False),
    Column("repeat_every_s", Integer),
    Column("send_recovery", Boolean, nullable=False),
    Column("goes_on", Boolean, nullable=False),  # whether later routes are tried too
    Column("created_at", Utc, nullable=False),
    Column("version", Integer, nullable=False, server_default="1"),
)

rules = Table(
    "rules",
    metadata,
    Column("id", ID, primary_key=True),
    Column("customer_id", ID, ForeignKey("customers.id")),
    Column("name", String(200), nullable=False, unique=True),
    Column("position", Integer, nullable=False),
    Column("enabled", Boolean, nullable=False),  # False: what it matches opens no alert
    Column("kind", String(16), nullable=False),
    Column("matchers", Json, nullable=False),
    Column("after_in_row", Integer, nullable=False),
    Column("retry_within_s", Integer, nullable=False),  # a success within it closes the alert before it is sent
    Column("silent_after_s", Integer),  # agent_silent only
    Column("created_at", Utc, nullable=False),
    Column("version", Integer, nullable=False, server_default="1"),
)

mail_rules = Table(
    "mail_rules",
    metadata,
    Column("id", ID, primary_key=True),
    Column("customer_id", ID, ForeignKey("customers.id")),
    Column("name", String(200), nullable=False, unique=True),
    Column("position", Integer, nullable=False),
    Column("enabled", Boolean, nullable=False),
    Column("subject", String(500)),  # a glob, as sender and body
    Column("sender", String(500)),
    Column("body", String(2000)),
    Column("outcome", String(12)),  # None: as the words say
    Column("activity", String(12)),
    Column("job", String(200)),
    Column("agent", String(200)),
    Column("taught_from", String(12)),  # the outcome that a text had of whose form this rule was made
    Column("created_at", Utc, nullable=False),
    Column("version", Integer, nullable=False, server_default="1"),
)

silences = Table(
    "silences",
    metadata,
    Column("id", ID, primary_key=True),
    Column("customer_id", ID, ForeignKey("customers.id")),
    Column("matchers", Json, nullable=False),
    Column("starts_at", Utc, nullable=False),
    Column("ends_at", Utc, nullable=False),
    Column("comment", Text, nullable=False),
    Column("created_by", String(200), nullable=False),
    Column("until_fixed", Boolean, nullable=False, server_default=text("false")),
    Column("created_at", Utc, nullable=False),
    Column("version", Integer, nullable=False, server_default="1"),
    Index("ix_silences_ends_at", "ends_at"),
)

summary_schedules = Table(
    "summary_schedules",
    metadata,
    Column("id", ID, primary_key=True),
    Column("customer_id", ID, ForeignKey("customers.id")),
    Column("name", String(200), nullable=False, unique=True),
    Column("enabled", Boolean, nullable=False),
    Column("every", String(8), nullable=False),  # day | week | month
    Column("hour", Integer, nullable=False),
    Column("minute", Integer, nullable=False),
    Column("weekday", Integer, nullable=False),  # 1 Monday .. 7 Sunday; weekly only
    Column("month_day", Integer, nullable=False),  # 1..28; monthly only
    Column("time_zone", String(64), nullable=False),
    Column("matchers", Json, nullable=False),
    Column("recipients", Json, nullable=False),
    Column("next_at", Utc),
    Column("last_number", Integer, nullable=False),
    Column("created_at", Utc, nullable=False),
    Column("version", Integer, nullable=False, server_default="1"),
    Index("ix_summary_schedules_next_at", "next_at"),
)

summaries = Table(
    "summaries",
    metadata,
    Column("id", ID, primary_key=True),
    Column("schedule_id", ID, ForeignKey("summary_schedules.id", ondelete="CASCADE"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("period_start", Utc, nullable=False),
    Column("period_end", Utc, nullable=False),
    Column("on_demand", Boolean, nullable=False),
    Column("made_at", Utc, nullable=False),
    UniqueConstraint("schedule_id", "period_end", "on_demand"),
)

# Numbers of summaries that were sent, and that the database does not know since it was put back to an older state.
summary_gaps = Table(
    "summary_gaps",
    metadata,
    Column("id", ID, primary_key=True),
    Column("schedule_id", ID, ForeignKey("summary_schedules.id", ondelete="CASCADE"), nullable=False),
    Column("first_number", Integer, nullable=False),
    Column("last_number", Integer, nullable=False),
    Column("noticed_at", Utc, nullable=False),
    UniqueConstraint("schedule_id", "last_number"),
)

relays = Table(
    "relays",
    metadata,
    Column("id", ID, primary_key=True),
    Column(
        "customer_id", ID, ForeignKey("customers.id"), nullable=False
    ),  # whose administrators are alerted of its trouble
    Column("name", String(200), nullable=False, unique=True),
    Column("customers", Json, nullable=False),  # whose messages it sends; with `recipients` empty: everybody's
    Column("recipients", Json, nullable=False),
    Column("silent_after_s", Integer, nullable=False),
    Column("oldest_after_s", Integer, nullable=False),
    Column("paused_at", Utc),
    Column("paused_why", Text),
    Column("doctor_asked_at", Utc),
    Column("seen_at", Utc),
    Column("said", Json, nullable=False),  # its last heartbeat, as in programs/protocol/relay.py
    Column("test_address", String(254)),  # where its probes go
    # Its circuit breaker: since `broken_at` it gets nothing but one probe at a time, the next one at `probe_at`.
    Column("broken_at", Utc),
    Column("broken_by", String(40)),  # the outcome that opened it
    Column("broken_why", Text),
    Column("probe_at", Utc),
    Column(
        "failures", Integer, nullable=False, server_default="0"
    ),  # that opened it or kept it open, since one was sent
    Column("timeouts", Integer, nullable=False, server_default="0"),  # in a row
    Column("trouble", Text),  # what its administrators were last alerted of; None: it works
    Column("trouble_at", Utc),
    Column("created_at", Utc, nullable=False),
    Column("version", Integer, nullable=False, server_default="1"),
)

setup_codes = Table(
    "setup_codes",
    metadata,
    Column("relay_id", ID, ForeignKey("relays.id"), primary_key=True),
    Column("name", String(8), nullable=False, unique=True),  # its first characters, by which it is found
    Column("hash", String(64), nullable=False),  # HMAC-SHA-256, hex
    Column("expires_at", Utc, nullable=False),
    Column("tries_left", Integer, nullable=False),
)

keys = Table(
    "keys",
    metadata,
    Column("id", ID, primary_key=True),
    Column("customer_id", ID, ForeignKey("customers.id")),
    Column("agent_id", ID, ForeignKey("agents.id")),
    Column("relay_id", ID, ForeignKey("relays.id")),
    Column("job", String(200)),  # of events that name none
    Column("names", Json, nullable=False, server_default=text("'[]'")),  # of enrol: globs of the agents that it lets in
    Column("from_addresses", Json, nullable=False, server_default=text("'[]'")),  # of enrol: networks
    Column("agents_most", Integer),
    Column("agents_until", Utc),
    Column("approve", Boolean, nullable=False, server_default=text("false")),
    Column("refused_count", Integer, nullable=False, server_default=text("0")),
    Column("refused_at", Utc),
    Column("refused_why", Text),
    Column("kind", String(8), nullable=False),  # enrol | agent | admin | viewer | relay | monitor | access
    Column("name", String(200), nullable=False),
    Column("hash", String(64), nullable=False, unique=True),  # HMAC-SHA-256, hex
    Column("hint", String(12), nullable=False),  # its first characters, so that people can tell keys apart
    Column("created_at", Utc, nullable=False),
    Column("last_used_at", Utc),
    Column("revoked_at", Utc),
    Column("events_a_minute", Integer),  # None: the setting's, of this and the next three
    Column("new_agents_an_hour", Integer),
    Column("new_jobs_an_hour", Integer),
    Column("bytes_a_day", BigInteger),
    Column("bytes_day", Integer),  # days since 1970, UTC
    Column("bytes_used", BigInteger, nullable=False, server_default="0"),  # on that day
    Column("role", String(14)),  # of access: reader | operator | administrator | owner
    Column("customers", Json),  # of access: ids; None: every customer
    Column("expires_at", Utc),
    Column("previous_hash", String(64), index=True),  # after a rotation, of the secret before
    Column("previous_until", Utc),
    Column("last_used_from", String(64)),  # the address of a client
    Column("version", Integer, nullable=False, server_default="1"),
)

share_links = Table(
    "share_links",
    metadata,
    Column("id", ID, primary_key=True),
    Column("kind", String(10), nullable=False),  # badge | calendar | wall
    Column("name", String(200), nullable=False),
    Column("customer_ids", Json),  # None: every customer
    Column("matchers", Json, nullable=False),
    Column("shows", Json, nullable=False),  # counts, customers, jobs, errors
    Column("hash", String(64), nullable=False, unique=True),  # of the token, as of keys
    Column("hint", String(12), nullable=False),
    Column("created_by", String(200), nullable=False),
    Column("created_at", Utc, nullable=False),
    Column("expires_at", Utc),
    Column("revoked_at", Utc),
    Column("last_used_at", Utc),
    Column("version", Integer, nullable=False, server_default="1"),
)

audit = Table(
    "audit",
    metadata,
    Column("id", ID, primary_key=True),
    Column("at", Utc, nullable=False),
    Column("who", String(200), nullable=False),
    Column("action", String(40), nullable=False),
    Column("noun", String(40), nullable=False),
    Column("thing_id", String(40), nullable=False),
    Column("change", Json),
    Column("who_id", ID),  # the person or the key, whose names are not unique
)

outside_changes = Table(
    "outside_changes",
    metadata,
    Column("recipient_id", ID, primary_key=True),
    Column("alert_id", ID, primary_key=True),
    Column("at", Utc, nullable=False, index=True),  # of the newest change at PagerDuty or Opsgenie that was applied
    Column("kinds", String(60), nullable=False),  # of changes at that time, with a space between
)

heartbeats = Table(
    "heartbeats",
    metadata,
    Column("worker", String(200), primary_key=True),
    Column("started_at", Utc, nullable=False),
    Column("at", Utc, nullable=False),
    Column("transports", Json, nullable=False),  # those that it serves
    Column("metrics", Json, nullable=False),  # its counters, for whichever process is asked for /metrics
)

listening = Table(
    "listening",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),  # 1, or 2: the row of trial writes
    Column("at", Utc, nullable=False),  # when a worker last noted that it listens
    Column("since", Utc),  # when the last gap ended
)

# The probe of the pipeline and the pings about it: one row (domain/probe.py).
probe = Table(
    "probe",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("turn_at", Utc, nullable=False),  # when a process last took its turn to ping
    Column("probe_id", ID),  # None: the first one is not stored yet
    Column("body", LargeBinary),  # the event, then the mail that was composed from it
    Column("stored_at", Utc),
    Column("decided_at", Utc),
    Column("reason", Text),
    Column("composed_at", Utc),
    Column("sent_at", Utc),
    Column("passed_at", Utc),  # when a probe came to its end last
    Column("accepted_at", Utc),  # the last ping that was accepted, and the next three: see Pings
    Column("failed_at", Utc),
    Column("trouble", Text),
    Column("verdict", Text),
)

transport_tests = Table(
    "transport_tests",
    metadata,
    Column("transport", String(12), primary_key=True),
    Column("at", Utc, nullable=False),
    Column("outcome", String(10), nullable=False),
    Column("code", String(40), nullable=False),
    Column("text", Text, nullable=False),
)

retention = Table(
    "retention",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("keep_events_days", Integer, nullable=False),
    Column("keep_history_days", Integer, nullable=False),
    Column("version", Integer, nullable=False, server_default=text("1")),
)

# What edits of administrators still have to change in rows that wait (domain/follow_up.py).
follow_ups = Table(
    "follow_ups",
    metadata,
    Column("id", ID, primary_key=True),
    Column("kind", String(20), nullable=False),
    Column("subject_id", ID, nullable=False),
    Column("at", Utc, nullable=False),  # of the edit
    Column("reason", Text, nullable=False),
    Column("after", String(64), nullable=False),  # the last id, or group key, that is done
)


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
