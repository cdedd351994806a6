"""overruns of open alerts: 0028 left out jobs whose hanging run was given up while the alert about it stayed open."""

from alembic import op

revision = "0033"
down_revision = "0032"
branch_labels = None
depends_on = None

# The alert is closed by a run that proves something since, and so is the state: until then the job is not well.
_OVERRUN = """
    UPDATE jobs SET overrun_since = (
        SELECT min(a.since) FROM alerts a WHERE a.subject_id = jobs.id AND a.kind = 'overrun' AND a.closed_at IS NULL
    ) WHERE overrun_since IS NULL AND id IN (SELECT subject_id FROM alerts WHERE kind = 'overrun' AND closed_at IS NULL)
"""


def upgrade() -> None:
    """Fill the column."""
    op.execute(_OVERRUN)


def downgrade() -> None:
    """Keep it: the column is right for the version before, too."""
