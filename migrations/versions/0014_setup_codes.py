"""one-time codes by which relays are set up."""

import sqlalchemy as sa
from alembic import op

from app.store.types import Utc

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go forward."""
    op.create_table(
        "setup_codes",
        sa.Column("relay_id", sa.String(length=40), nullable=False),
        sa.Column("name", sa.String(length=8), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.Column("expires_at", Utc(), nullable=False),
        sa.Column("tries_left", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["relay_id"], ["relays.id"], name=op.f("fk_setup_codes_relay_id")),
        sa.PrimaryKeyConstraint("relay_id", name=op.f("pk_setup_codes")),
        sa.UniqueConstraint("name", name=op.f("uq_setup_codes_name")),
    )


def downgrade() -> None:
    """Go back."""
    op.drop_table("setup_codes")
