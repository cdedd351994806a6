"""late failures: a job shows one that came after a success with a later time, until something good follows."""

import sqlalchemy as sa
from alembic import op

from app.store.types import Utc

revision = "0035"
down_revision = "0034"
branch_labels = None
depends_on = None

_BEFORE = (
    "(state NOT IN ('ok', 'new') OR unclear_at IS NOT NULL OR overrun_since IS NOT NULL OR running_since IS NOT NULL)"
)
_NOW = (
    "(state NOT IN ('ok', 'new') OR unclear_at IS NOT NULL OR overrun_since IS NOT NULL OR running_since IS NOT NULL"
    " OR late_failure_at IS NOT NULL)"
)
# Its reason tells the open alert of a late failure from others: the runs do not show in which order they came.
_OPEN = "kind = 'failed' AND closed_at IS NULL AND reason LIKE 'a failure dated %'"
_FILL = f"""
    UPDATE jobs SET late_failure_at = (SELECT max(a.since) FROM alerts a WHERE a.subject_id = jobs.id AND {_OPEN})
    WHERE failures_in_row = 0 AND id IN (SELECT subject_id FROM alerts WHERE {_OPEN})
"""  # noqa: S608  (constants)


def upgrade() -> None:
    """Add the column, fill it, and have the index of jobs in trouble contain it."""
    op.add_column("jobs", sa.Column("late_failure_at", Utc()))
    op.execute(_FILL)
    _replace_index(_NOW)


def downgrade() -> None:
    """Go back."""
    _replace_index(_BEFORE)
    op.drop_column("jobs", "late_failure_at")


def _replace_index(condition: str) -> None:
    op.drop_index("ix_jobs_to_read", "jobs")
    where = sa.text(condition)
    op.create_index("ix_jobs_to_read", "jobs", ["customer_id"], sqlite_where=where, postgresql_where=where)
