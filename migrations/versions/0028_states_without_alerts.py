"""states that do not depend on alerts: what takes too long, what is unclear, and which agents are silent."""

import sqlalchemy as sa
from alembic import op

from app.store.types import Utc

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None

_TROUBLE = "state NOT IN ('ok', 'new')"
_TO_READ = (
    "(state NOT IN ('ok', 'new') OR unclear_at IS NOT NULL OR overrun_since IS NOT NULL OR running_since IS NOT NULL)"
)
# Of the runs of a job, and not of alerts: rules may have opened none. The condition on 'success' selects the index.
_OVERRUN = """
    UPDATE jobs SET overrun_since = (
        SELECT max(r.started_at) FROM runs r WHERE r.job_id = jobs.id AND r.ended_at IS NULL AND r.outcome = 'overrun'
    ) WHERE id IN (SELECT job_id FROM runs WHERE outcome <> 'success' AND outcome = 'overrun')
"""
_UNCLEAR = """
    UPDATE jobs SET unclear_at = last_finished_at
    WHERE id IN (SELECT job_id FROM runs WHERE outcome <> 'success' AND outcome = 'unclear') AND 'unclear' = (
        SELECT r.outcome FROM runs r WHERE r.job_id = jobs.id AND r.ended_at IS NOT NULL
        AND r.outcome IN ('success', 'warning', 'failure', 'unclear') ORDER BY r.ended_at DESC, r.run_key DESC LIMIT 1
    )
"""
_SILENT = """
    UPDATE agents SET silent_since = (
        SELECT min(a.opened_at) FROM alerts a WHERE a.agent_id = agents.id AND a.kind = 'agent_silent' AND a.closed_at IS NULL
    ) WHERE id IN (SELECT agent_id FROM alerts WHERE kind = 'agent_silent' AND closed_at IS NULL)
"""


def upgrade() -> None:
    """Add the columns and fill them."""
    op.add_column("jobs", sa.Column("overrun_since", Utc()))
    op.add_column("jobs", sa.Column("unclear_at", Utc()))
    op.add_column("agents", sa.Column("silent_since", Utc()))
    for statement in (_OVERRUN, _UNCLEAR, _SILENT):
        op.execute(statement)
    op.drop_index("ix_jobs_trouble", "jobs")
    _index("ix_jobs_to_read", "jobs", _TO_READ)
    _index("ix_agents_silent", "agents", "silent_since IS NOT NULL")


def downgrade() -> None:
    """Go back."""
    op.drop_index("ix_agents_silent", "agents")
    op.drop_index("ix_jobs_to_read", "jobs")
    op.drop_column("agents", "silent_since")
    op.drop_column("jobs", "unclear_at")
    op.drop_column("jobs", "overrun_since")
    _index("ix_jobs_trouble", "jobs", _TROUBLE)


def _index(name: str, table: str, condition: str) -> None:
    op.create_index(name, table, ["customer_id"], sqlite_where=sa.text(condition), postgresql_where=sa.text(condition))
