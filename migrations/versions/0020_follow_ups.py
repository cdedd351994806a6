"""follow-ups: what an edit still has to change in rows that wait."""

import sqlalchemy as sa
from alembic import op

from app.store.types import Utc

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "follow_ups",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("subject_id", sa.String(40), nullable=False),
        sa.Column("at", Utc(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("after", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_follow_ups")),
    )


def downgrade() -> None:
    """Go back."""
    op.drop_table("follow_ups")
