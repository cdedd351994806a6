"""indexes from which deciding looks up the history of a job, and claims events by customer and agent, trouble first."""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

_TROUBLE = "(coalesce(outcome, 'success') NOT IN ('success', 'cancelled') OR severity <> 'info' OR kind <> 'report')"
_INDEXES = (
    ("ix_runs_history", "runs", ["job_id", "outcome", "ended_at", "run_key"], "ended_at IS NOT NULL"),
    (
        "ix_runs_job_starts",
        "runs",
        ["job_id", "started_at"],
        "ended_at IS NULL AND run_key >= 'event:' AND run_key < 'event;'",
    ),
    ("ix_events_trouble", "events", ["customer_id", "agent_id", "id"], f"state = 'new' AND {_TROUBLE}"),
    ("ix_events_routine", "events", ["customer_id", "agent_id", "id"], f"state = 'new' AND NOT {_TROUBLE}"),
)


def _collate(collation: str) -> None:
    """Set how PostgreSQL compares run keys. Its index of them is built again; the rows stay as they are."""
    if op.get_bind().dialect.name == "postgresql":
        kind = sa.String(260, collation=collation)
        op.alter_column("runs", "run_key", type_=kind, existing_nullable=False)


def upgrade() -> None:
    """Make the indexes. Those that the code of before uses stay."""
    _collate("C")
    for name, table, columns, condition in _INDEXES:
        op.create_index(name, table, columns, sqlite_where=sa.text(condition), postgresql_where=sa.text(condition))


def downgrade() -> None:
    """Go back."""
    for name, table, *_ in _INDEXES:
        op.drop_index(name, table)
    _collate("default")
