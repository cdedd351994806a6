"""mail rules look at sender and body too, and can set the agent."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go forward."""
    with op.batch_alter_table("mail_rules", schema=None) as batch_op:
        batch_op.add_column(sa.Column("sender", sa.String(length=500), nullable=True))
        batch_op.add_column(sa.Column("body", sa.String(length=2000), nullable=True))
        batch_op.add_column(sa.Column("agent", sa.String(length=200), nullable=True))
        batch_op.alter_column("subject", existing_type=sa.String(length=500), nullable=True)
        batch_op.alter_column("activity", existing_type=sa.String(length=12), nullable=True)


def downgrade() -> None:
    """Go back. Rules without a subject, or without an activity, had no meaning before."""
    op.execute("DELETE FROM mail_rules WHERE subject IS NULL OR sender IS NOT NULL OR body IS NOT NULL")
    op.execute("UPDATE mail_rules SET activity = 'backup' WHERE activity IS NULL")
    with op.batch_alter_table("mail_rules", schema=None) as batch_op:
        batch_op.alter_column("activity", existing_type=sa.String(length=12), nullable=False)
        batch_op.alter_column("subject", existing_type=sa.String(length=500), nullable=False)
        batch_op.drop_column("agent")
        batch_op.drop_column("body")
        batch_op.drop_column("sender")
