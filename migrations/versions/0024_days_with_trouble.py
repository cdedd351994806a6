"""indexes from which pages count jobs and days of customers on which something was wrong."""

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None

_INDEXES = (
    ("ix_jobs_trouble", "jobs", ["customer_id"], "state NOT IN ('ok', 'new')"),
    (
        "ix_job_days_trouble",
        "job_days",
        ["customer_id", "day"],
        "(failures > 0 OR missed > 0 OR warnings > 0 OR unclear > 0 OR cancelled > 0)",
    ),
)


def upgrade() -> None:
    """Make the indexes."""
    for name, table, columns, condition in _INDEXES:
        op.create_index(name, table, columns, sqlite_where=sa.text(condition), postgresql_where=sa.text(condition))


def downgrade() -> None:
    """Go back."""
    for name, table, *_ in _INDEXES:
        op.drop_index(name, table)
