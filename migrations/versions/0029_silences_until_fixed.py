"""silences that end once what they mute is fixed."""

import sqlalchemy as sa
from alembic import op

revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column."""
    with op.batch_alter_table("silences") as batch_op:
        batch_op.add_column(sa.Column("until_fixed", sa.Boolean, nullable=False, server_default=sa.text("false")))


def downgrade() -> None:
    """Go back."""
    with op.batch_alter_table("silences") as batch_op:
        batch_op.drop_column("until_fixed")
