"""refused reports: how many reports of each agent were refused, and why the last one was."""

import sqlalchemy as sa
from alembic import op

from app.store.types import Utc

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "refused_reports",
        sa.Column("agent_id", sa.String(40), nullable=False),
        sa.Column("customer_id", sa.String(40), nullable=False),
        sa.Column("since", Utc(), nullable=False),
        sa.Column("last_at", Utc(), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.Column("why", sa.String(400), nullable=False),
        sa.PrimaryKeyConstraint("agent_id", name=op.f("pk_refused_reports")),
    )


def downgrade() -> None:
    """Go back."""
    op.drop_table("refused_reports")
