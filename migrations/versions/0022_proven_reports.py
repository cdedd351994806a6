"""proven reports: when an agent last sent a report that is not unclear, which alone says that it is not silent."""

import sqlalchemy as sa
from alembic import op

from app.store.types import Utc

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column. Until now every report counted."""
    op.add_column("agents", sa.Column("last_proven_at", Utc(), nullable=True))
    op.execute("UPDATE agents SET last_proven_at = last_heard_at")


def downgrade() -> None:
    """Go back."""
    with op.batch_alter_table("agents") as batch:
        batch.drop_column("last_proven_at")
