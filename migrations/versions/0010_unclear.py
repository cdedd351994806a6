"""alerts of texts that nobody can read: their form, their rule, their count a day; and rules that were taught from such a text."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

# A database without rules is new (its first start adds them all), or its administrator deleted them.
_ADD_RULE = """
INSERT INTO rules (id, name, position, enabled, kind, matchers, after_in_row, retry_within_s, created_at)
SELECT 'rul_000000000000unclear0', 'unclear', 100, :on, 'unclear', '[]', 1, 0, (SELECT max(created_at) FROM rules)
WHERE EXISTS (SELECT 1 FROM rules) AND NOT EXISTS (SELECT 1 FROM rules WHERE name = 'unclear')
"""
_OPEN = sa.text("closed_at IS NULL")


def upgrade() -> None:
    """Go forward. A database that is in use gets the rule that a new one has: without it, no unclear text would open an alert."""
    op.add_column("job_days", sa.Column("unclear", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("alerts", sa.Column("form", sa.String(length=40), nullable=False, server_default=""))
    op.drop_index("uq_alerts_open", "alerts")
    op.create_index(
        "uq_alerts_open",
        "alerts",
        ["customer_id", "subject_id", "kind", "form"],
        unique=True,
        sqlite_where=_OPEN,
        postgresql_where=_OPEN,
    )
    op.add_column("mail_rules", sa.Column("taught_from", sa.String(length=12), nullable=True))
    op.execute(sa.text(_ADD_RULE).bindparams(sa.bindparam("on", value=True, type_=sa.Boolean)))


def downgrade() -> None:
    """Go back. What was unclear had no alert before."""
    op.execute("DELETE FROM rules WHERE kind = 'unclear'")
    op.execute("DELETE FROM alerts WHERE kind = 'unclear'")
    op.drop_column("mail_rules", "taught_from")
    op.drop_index("uq_alerts_open", "alerts")
    op.create_index(
        "uq_alerts_open",
        "alerts",
        ["customer_id", "subject_id", "kind"],
        unique=True,
        sqlite_where=_OPEN,
        postgresql_where=_OPEN,
    )
    op.drop_column("alerts", "form")
    op.drop_column("job_days", "unclear")
