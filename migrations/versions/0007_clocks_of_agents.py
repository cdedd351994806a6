"""what an agent's reports show of its clock, and the rule that alerts of it where rules exist already."""

import sqlalchemy as sa
from alembic import op

from app.store.types import Utc

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

# A database without rules is new (its first start adds them all), or its administrator deleted them.
_ADD_RULE = """
INSERT INTO rules (id, name, position, enabled, kind, matchers, after_in_row, retry_within_s, created_at)
SELECT 'rul_000000000000clockoff', 'clock_off', 100, :on, 'clock_off', '[]', 1, 0, (SELECT max(created_at) FROM rules)
WHERE EXISTS (SELECT 1 FROM rules) AND NOT EXISTS (SELECT 1 FROM rules WHERE name = 'clock_off')
"""


def upgrade() -> None:
    """Go forward."""
    op.add_column("agents", sa.Column("clock_offset_s", sa.Integer(), nullable=True))
    op.add_column("agents", sa.Column("clock_off_at", Utc(), nullable=True))
    op.execute(sa.text(_ADD_RULE).bindparams(sa.bindparam("on", value=True, type_=sa.Boolean)))


def downgrade() -> None:
    """Go back. The older version does not know the kind of these alerts, so they become closed alerts of another kind."""
    op.execute("DELETE FROM rules WHERE kind = 'clock_off'")
    op.execute(
        "UPDATE alerts SET kind = 'agent_silent', closed_at = coalesce(closed_at, last_at), "
        "closed_reason = coalesce(closed_reason, 'the service was downgraded') WHERE kind = 'clock_off'"
    )
    op.drop_column("agents", "clock_off_at")
    op.drop_column("agents", "clock_offset_s")
