"""relays, mail rules, and when the service was listening."""

import sqlalchemy as sa
from alembic import op

from app.store.types import Json, Utc

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go forward."""
    op.create_table(
        "listening",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("at", Utc(), nullable=False),
        sa.Column("since", Utc(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_listening")),
    )
    op.create_table(
        "mail_rules",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("customer_id", sa.String(length=40), nullable=True),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("subject", sa.String(length=500), nullable=False),
        sa.Column("outcome", sa.String(length=12), nullable=False),
        sa.Column("activity", sa.String(length=12), nullable=False),
        sa.Column("job", sa.String(length=200), nullable=True),
        sa.Column("created_at", Utc(), nullable=False),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.ForeignKeyConstraint(["customer_id"], ["customers.id"], name=op.f("fk_mail_rules_customer_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_mail_rules")),
        sa.UniqueConstraint("name", name=op.f("uq_mail_rules_name")),
    )
    op.create_table(
        "relays",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("customer_id", sa.String(length=40), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("customers", Json, nullable=False),
        sa.Column("recipients", Json, nullable=False),
        sa.Column("silent_after_s", sa.Integer(), nullable=False),
        sa.Column("oldest_after_s", sa.Integer(), nullable=False),
        sa.Column("paused_at", Utc(), nullable=True),
        sa.Column("paused_why", sa.Text(), nullable=True),
        sa.Column("doctor_asked_at", Utc(), nullable=True),
        sa.Column("seen_at", Utc(), nullable=True),
        sa.Column("said", Json, nullable=False),
        sa.Column("stuck_at", Utc(), nullable=True),
        sa.Column("stuck_why", sa.Text(), nullable=True),
        sa.Column("trouble", sa.Text(), nullable=True),
        sa.Column("trouble_at", Utc(), nullable=True),
        sa.Column("created_at", Utc(), nullable=False),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.ForeignKeyConstraint(["customer_id"], ["customers.id"], name=op.f("fk_relays_customer_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_relays")),
        sa.UniqueConstraint("name", name=op.f("uq_relays_name")),
    )
    with op.batch_alter_table("messages", schema=None) as batch_op:
        batch_op.add_column(sa.Column("relay_id", sa.String(length=40), nullable=True))
    with op.batch_alter_table("keys", schema=None) as batch_op:
        batch_op.add_column(sa.Column("relay_id", sa.String(length=40), nullable=True))
        batch_op.add_column(sa.Column("job", sa.String(length=200), nullable=True))
        batch_op.create_foreign_key(op.f("fk_keys_relay_id"), "relays", ["relay_id"], ["id"])
    with op.batch_alter_table("runs", schema=None) as batch_op:
        batch_op.drop_index(
            "ix_runs_job_open",
            postgresql_where=sa.text("ended_at IS NULL"),
            sqlite_where=sa.text("ended_at IS NULL"),
        )
        batch_op.create_index(
            "ix_runs_job_open",
            ["job_id", "outcome", "started_at"],
            unique=False,
            postgresql_where=sa.text("ended_at IS NULL"),
            sqlite_where=sa.text("ended_at IS NULL"),
        )


def downgrade() -> None:
    """Go back."""
    with op.batch_alter_table("runs", schema=None) as batch_op:
        batch_op.drop_index(
            "ix_runs_job_open",
            postgresql_where=sa.text("ended_at IS NULL"),
            sqlite_where=sa.text("ended_at IS NULL"),
        )
        batch_op.create_index(
            "ix_runs_job_open",
            ["job_id"],
            unique=False,
            postgresql_where=sa.text("ended_at IS NULL"),
            sqlite_where=sa.text("ended_at IS NULL"),
        )
    with op.batch_alter_table("keys", schema=None) as batch_op:
        batch_op.drop_constraint(op.f("fk_keys_relay_id"), type_="foreignkey")
        batch_op.drop_column("job")
        batch_op.drop_column("relay_id")
    with op.batch_alter_table("messages", schema=None) as batch_op:
        batch_op.drop_column("relay_id")
    op.drop_table("relays")
    op.drop_table("mail_rules")
    op.drop_table("listening")
