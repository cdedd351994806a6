"""who acted: the id of the person or the key in the audit log and of who acknowledged an alert; their names are not unique."""

import sqlalchemy as sa
from alembic import op

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns."""
    op.add_column("audit", sa.Column("who_id", sa.String(40)))
    op.add_column("alerts", sa.Column("acknowledged_by_id", sa.String(40)))


def downgrade() -> None:
    """Go back."""
    op.drop_column("alerts", "acknowledged_by_id")
    op.drop_column("audit", "who_id")
