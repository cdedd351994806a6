"""keys have budgets, and what goes beyond them is noted."""

import sqlalchemy as sa
from alembic import op

from app.store.types import Utc

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

_LIMITS = ("events_a_minute", "new_agents_an_hour", "new_jobs_an_hour")


def upgrade() -> None:
    """Go forward. Without a limit of its own, a key has the setting's."""
    with op.batch_alter_table("keys", schema=None) as batch_op:
        for name in (*_LIMITS, "bytes_day"):
            batch_op.add_column(sa.Column(name, sa.Integer))
        batch_op.add_column(sa.Column("bytes_a_day", sa.BigInteger))
        batch_op.add_column(sa.Column("bytes_used", sa.BigInteger, nullable=False, server_default="0"))
    op.create_table(
        "excesses",
        sa.Column("key_id", sa.String(40), primary_key=True),
        sa.Column("what", sa.String(24), primary_key=True),
        sa.Column("agent_id", sa.String(40), primary_key=True),
        sa.Column("customer_id", sa.String(40), nullable=False),
        sa.Column("since", Utc, nullable=False),
        sa.Column("last_at", Utc, nullable=False),
        sa.Column("events", sa.BigInteger, nullable=False),
        sa.Column("failures", sa.BigInteger, nullable=False),
        sa.Column("most_of", sa.String(200), nullable=False),
        sa.Column("reported_at", Utc),
        sa.Column("usual", sa.Float),
        sa.Column("judged_at", Utc),
    )


def downgrade() -> None:
    """Go back."""
    op.drop_table("excesses")
    with op.batch_alter_table("keys", schema=None) as batch_op:
        for name in ("bytes_used", "bytes_a_day", "bytes_day", *reversed(_LIMITS)):
            batch_op.drop_column(name)
