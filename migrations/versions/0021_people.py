"""people who sign in, their sessions, links that sign in once, and failed sign-ins."""

import sqlalchemy as sa
from alembic import op

from app.store.types import Json, Utc

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "people",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("email", sa.String(254), nullable=False),
        sa.Column("role", sa.String(14), nullable=False),
        sa.Column("customers", Json),
        sa.Column("language", sa.String(8)),
        sa.Column("zone", sa.String(64)),
        sa.Column("password_hash", sa.Text()),
        sa.Column("codes_secret", sa.Text()),
        sa.Column("codes_since", Utc()),
        sa.Column("codes_step", sa.BigInteger()),
        sa.Column("recovery_hashes", Json),
        sa.Column("external_id", sa.String(600)),
        sa.Column("created_at", Utc(), nullable=False),
        sa.Column("last_sign_in_at", Utc()),
        sa.Column("disabled_at", Utc()),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_people")),
        sa.UniqueConstraint("email", name=op.f("uq_people_email")),
        sa.UniqueConstraint("external_id", name=op.f("uq_people_external_id")),
    )
    op.create_table(
        "sessions",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("person_id", sa.String(40), nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
        sa.Column("way", sa.String(10), nullable=False),
        sa.Column("created_at", Utc(), nullable=False),
        sa.Column("seen_at", Utc(), nullable=False),
        sa.Column("proved_at", Utc(), nullable=False),
        sa.Column("address", sa.String(64)),
        sa.Column("browser", sa.String(200)),
        sa.Column("revoked_at", Utc()),
        sa.ForeignKeyConstraint(["person_id"], ["people.id"], name=op.f("fk_sessions_person_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sessions")),
        sa.UniqueConstraint("hash", name=op.f("uq_sessions_hash")),
    )
    op.create_index(op.f("ix_sessions_person_id"), "sessions", ["person_id"])
    op.create_index(op.f("ix_sessions_seen_at"), "sessions", ["seen_at"])
    op.create_table(
        "one_time_links",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("purpose", sa.String(10), nullable=False),
        sa.Column("person_id", sa.String(40)),
        sa.Column("hash", sa.String(64), nullable=False),
        sa.Column("created_at", Utc(), nullable=False),
        sa.Column("expires_at", Utc(), nullable=False),
        sa.Column("used_at", Utc()),
        sa.ForeignKeyConstraint(
            ["person_id"], ["people.id"], name=op.f("fk_one_time_links_person_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_one_time_links")),
        sa.UniqueConstraint("hash", name=op.f("uq_one_time_links_hash")),
    )
    op.create_table(
        "failed_sign_ins",
        sa.Column("subject", sa.String(64), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("last_at", Utc(), nullable=False),
        sa.PrimaryKeyConstraint("subject", name=op.f("pk_failed_sign_ins")),
    )
    op.create_index(op.f("ix_failed_sign_ins_last_at"), "failed_sign_ins", ["last_at"])


def downgrade() -> None:
    """Go back."""
    for name in ("failed_sign_ins", "one_time_links", "sessions", "people"):
        op.drop_table(name)
