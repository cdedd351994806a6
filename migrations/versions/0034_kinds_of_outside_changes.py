"""kinds of outside changes: two changes of an incident with the same time are told apart by what they are."""

import sqlalchemy as sa
from alembic import op

revision = "0034"
down_revision = "0033"
branch_labels = None
depends_on = None

_ALL = "acknowledged unacknowledged resolved"  # of rows from before: nothing that was applied is applied again


def upgrade() -> None:
    """Add the column."""
    op.add_column("outside_changes", sa.Column("kinds", sa.String(60), nullable=False, server_default=_ALL))


def downgrade() -> None:
    """Go back."""
    op.drop_column("outside_changes", "kinds")
