"""enrolment keys have limits; agents wait for approval, and keep by which key they came in."""

import sqlalchemy as sa
from alembic import op

from app.store.types import Json, Utc

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go forward. Every column has a default, because an older version goes on writing rows without it."""
    with op.batch_alter_table("keys", schema=None) as batch_op:
        batch_op.add_column(sa.Column("names", Json, nullable=False, server_default=sa.text("'[]'")))
        batch_op.add_column(sa.Column("from_addresses", Json, nullable=False, server_default=sa.text("'[]'")))
        batch_op.add_column(sa.Column("agents_most", sa.Integer))
        batch_op.add_column(sa.Column("agents_until", Utc))
        batch_op.add_column(sa.Column("approve", sa.Boolean, nullable=False, server_default=sa.text("false")))
        batch_op.add_column(sa.Column("refused_count", sa.Integer, nullable=False, server_default=sa.text("0")))
        batch_op.add_column(sa.Column("refused_at", Utc))
        batch_op.add_column(sa.Column("refused_why", sa.Text))
    with op.batch_alter_table("agents", schema=None) as batch_op:
        batch_op.add_column(sa.Column("state", sa.String(10), nullable=False, server_default="approved"))
        batch_op.add_column(sa.Column("enrolled_by", sa.String(40)))
        for name, column, where in (
            ("ix_agents_undecided", "id", "state <> 'approved'"),
            ("ix_agents_enrolled_by", "enrolled_by", "enrolled_by IS NOT NULL"),
        ):
            batch_op.create_index(name, [column], postgresql_where=sa.text(where), sqlite_where=sa.text(where))


def downgrade() -> None:
    """Go back."""
    with op.batch_alter_table("agents", schema=None) as batch_op:
        for name in ("ix_agents_enrolled_by", "ix_agents_undecided"):
            batch_op.drop_index(name)
        for name in ("enrolled_by", "state"):
            batch_op.drop_column(name)
    with op.batch_alter_table("keys", schema=None) as batch_op:
        for name in (
            "refused_why",
            "refused_at",
            "refused_count",
            "approve",
            "agents_until",
            "agents_most",
            "from_addresses",
            "names",
        ):
            batch_op.drop_column(name)
