"""canary mails, and the numbers of summaries that a database lacks since it was put back to an older state."""

import sqlalchemy as sa
from alembic import op

from app.store.types import Json, Utc

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go forward."""
    op.create_table(
        "canaries",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("customer_id", sa.String(length=40), nullable=False),
        sa.Column("transport", sa.String(length=12), nullable=False),
        sa.Column("relay_id", sa.String(length=40), nullable=False),
        sa.Column("name", sa.String(length=220), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("fingerprint", sa.String(length=32), nullable=False),
        sa.Column("occasion", sa.String(length=120), nullable=False),
        sa.Column("message_id", sa.String(length=40), nullable=False),
        sa.Column("sent_at", Utc(), nullable=False),
        sa.Column("state", sa.String(length=8), nullable=False),
        sa.Column("arrived_at", Utc(), nullable=True),
        sa.Column("seconds", sa.Float(), nullable=True),
        sa.Column("hops", Json, nullable=False),
        sa.Column("lost_at", Utc(), nullable=True),
        sa.Column("why", sa.Text(), nullable=True),
        sa.Column("is_reported", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_canaries")),
        sa.UniqueConstraint("transport", "relay_id", "occasion", name=op.f("uq_canaries_transport_relay_id_occasion")),
    )
    for name, columns, where in (
        ("ix_canaries_waiting", ["sent_at"], "state = 'waiting'"),
        ("ix_canaries_reported", ["transport", "relay_id"], "is_reported"),
    ):
        condition = sa.text(where)
        op.create_index(name, "canaries", columns, postgresql_where=condition, sqlite_where=condition)
    op.create_table(
        "summary_gaps",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("schedule_id", sa.String(length=40), nullable=False),
        sa.Column("first_number", sa.Integer(), nullable=False),
        sa.Column("last_number", sa.Integer(), nullable=False),
        sa.Column("noticed_at", Utc(), nullable=False),
        sa.ForeignKeyConstraint(
            ["schedule_id"],
            ["summary_schedules.id"],
            name=op.f("fk_summary_gaps_schedule_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_summary_gaps")),
        sa.UniqueConstraint("schedule_id", "last_number", name=op.f("uq_summary_gaps_schedule_id_last_number")),
    )


def downgrade() -> None:
    """Go back."""
    op.drop_table("summary_gaps")
    op.drop_table("canaries")
