"""probe: the row of the probe that passes through the pipeline, and of the pings about it."""

import sqlalchemy as sa
from alembic import op

from app.store.types import Utc

revision = "0030"
down_revision = "0029"
branch_labels = None
depends_on = None

_MOMENTS = ("stored_at", "decided_at", "composed_at", "sent_at", "passed_at", "accepted_at", "failed_at")


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "probe",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("turn_at", Utc(), nullable=False),
        sa.Column("probe_id", sa.String(40)),
        sa.Column("body", sa.LargeBinary()),
        *(sa.Column(name, Utc()) for name in _MOMENTS),
        *(sa.Column(name, sa.Text()) for name in ("reason", "trouble", "verdict")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_probe")),
    )


def downgrade() -> None:
    """Go back."""
    op.drop_table("probe")
