"""a mail rule may leave the outcome to the words, and only name job, agent or activity."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go forward."""
    with op.batch_alter_table("mail_rules", schema=None) as batch_op:
        batch_op.alter_column("outcome", existing_type=sa.String(length=12), nullable=True)


def downgrade() -> None:
    """Go back. Rules without an outcome had no meaning before."""
    op.execute("DELETE FROM mail_rules WHERE outcome IS NULL")
    with op.batch_alter_table("mail_rules", schema=None) as batch_op:
        batch_op.alter_column("outcome", existing_type=sa.String(length=12), nullable=False)
