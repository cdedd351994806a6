"""indexes from which the lists of events, runs, alerts, notices and messages are answered, whatever the length of the history."""

from alembic import op
from sqlalchemy import text

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_NEW = (
    ("ix_events_job", "events", ["agent_id", "job", "activity", "outcome", "id"]),
    ("ix_runs_job", "runs", ["job_id", "outcome", "id"]),
    ("ix_alerts_agent", "alerts", ["agent_id", "id"]),
    ("ix_alerts_customer", "alerts", ["customer_id", "id"]),
    ("ix_notices_customer", "notices", ["customer_id", "state", "id"]),
    ("ix_notices_recipient", "notices", ["recipient_id", "id"]),
    ("ix_messages_customer", "messages", ["customer_id", "state", "id"]),
    ("ix_messages_recipient", "messages", ["recipient_id", "id"]),
)
_PARTIAL = (
    ("ix_events_outcome", "events", ["outcome", "id"], "outcome <> 'success'"),
    ("ix_runs_outcome", "runs", ["outcome", "id"], "outcome <> 'success'"),
    ("ix_alerts_open", "alerts", ["id"], "closed_at IS NULL"),
    ("ix_notices_summary", "notices", ["summary_id"], "summary_id IS NOT NULL"),
)


def upgrade() -> None:
    """Make the indexes, and drop two whose work they do."""
    for name, table, columns in _NEW:
        op.create_index(name, table, columns)
    for name, table, columns, condition in _PARTIAL:
        op.create_index(name, table, columns, sqlite_where=text(condition), postgresql_where=text(condition))
    op.drop_index("ix_events_agent", "events")
    op.drop_index("ix_messages_state", "messages")
    op.drop_index("ix_alerts_subject", "alerts")
    op.create_index("ix_alerts_subject", "alerts", ["subject_id", "id"])


def downgrade() -> None:
    """Go back to the indexes of 0004."""
    op.drop_index("ix_alerts_subject", "alerts")
    op.create_index("ix_alerts_subject", "alerts", ["subject_id"])
    op.create_index("ix_messages_state", "messages", ["state", "id"])
    op.create_index("ix_events_agent", "events", ["agent_id", "id"])
    for name, table, *_ in (*_PARTIAL, *_NEW):
        op.drop_index(name, table)
