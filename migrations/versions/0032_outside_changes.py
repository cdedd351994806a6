"""outside changes: the newest change of an incident outside that was applied to an alert."""

import sqlalchemy as sa
from alembic import op

from app.store.types import Utc

revision = "0032"
down_revision = "0031"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the table."""
    op.create_table(
        "outside_changes",
        sa.Column("recipient_id", sa.String(40), primary_key=True),
        sa.Column("alert_id", sa.String(40), primary_key=True),
        sa.Column("at", Utc(), nullable=False, index=True),
    )


def downgrade() -> None:
    """Go back."""
    op.drop_table("outside_changes")
