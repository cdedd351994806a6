"""versions of keys: their names and limits can be changed."""

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column."""
    op.add_column("keys", sa.Column("version", sa.Integer(), nullable=False, server_default="1"))


def downgrade() -> None:
    """Go back."""
    with op.batch_alter_table("keys") as batch:
        batch.drop_column("version")
