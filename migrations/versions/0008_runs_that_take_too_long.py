"""runs with an open alert because they take too long have the outcome `overrun`, so that the end of another run does not close it."""

from alembic import op
from sqlalchemy import text

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Mark the runs that were reported as too long and have not ended."""
    op.execute(
        text(
            "UPDATE runs SET outcome = 'overrun' WHERE ended_at IS NULL AND outcome IS NULL AND overrun_at IS NULL"
            " AND job_id IN (SELECT subject_id FROM alerts WHERE kind = 'overrun' AND closed_at IS NULL)"
        )
    )


def downgrade() -> None:
    """Let them be under way again: an earlier version does not know the outcome."""
    op.execute(text("UPDATE runs SET outcome = NULL WHERE outcome = 'overrun'"))
