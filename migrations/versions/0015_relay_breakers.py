"""relays have a circuit breaker; attempts keep evidence, and messages why their predecessor was moved."""

import sqlalchemy as sa
from alembic import op

from app.store.types import Json, Utc

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go forward. What was stuck, and what paused a relay and needs no person now, opens its breaker."""
    with op.batch_alter_table("attempts", schema=None) as batch_op:
        batch_op.add_column(sa.Column("evidence", Json))
    with op.batch_alter_table("messages", schema=None) as batch_op:
        batch_op.add_column(sa.Column("about_relay_id", sa.String(40)))
        batch_op.add_column(sa.Column("moved_why", sa.Text))
    with op.batch_alter_table("relays", schema=None) as batch_op:
        batch_op.alter_column("stuck_at", new_column_name="broken_at", existing_type=Utc)
        batch_op.alter_column("stuck_why", new_column_name="broken_why", existing_type=sa.Text)
        batch_op.add_column(sa.Column("test_address", sa.String(254)))
        batch_op.add_column(sa.Column("broken_by", sa.String(40)))
        batch_op.add_column(sa.Column("probe_at", Utc))
        batch_op.add_column(sa.Column("failures", sa.Integer, nullable=False, server_default="0"))
        batch_op.add_column(sa.Column("timeouts", sa.Integer, nullable=False, server_default="0"))
    op.execute("UPDATE relays SET broken_by = 'stuck', probe_at = broken_at, failures = 1 WHERE broken_at IS NOT NULL")
    for outcome in ("profile_missing", "logon_failed", "incompatible_client", "not_tight", "bitness"):
        op.execute(
            f"UPDATE relays SET broken_at = paused_at, broken_why = paused_why, broken_by = '{outcome}', probe_at = paused_at, failures = 1,"  # noqa: S608
            f" paused_at = NULL, paused_why = NULL WHERE paused_at IS NOT NULL AND paused_why LIKE '{outcome}: %'"
        )


def downgrade() -> None:
    """Go back."""
    with op.batch_alter_table("relays", schema=None) as batch_op:
        for name in ("timeouts", "failures", "probe_at", "broken_by", "test_address"):
            batch_op.drop_column(name)
        batch_op.alter_column("broken_why", new_column_name="stuck_why", existing_type=sa.Text)
        batch_op.alter_column("broken_at", new_column_name="stuck_at", existing_type=Utc)
    with op.batch_alter_table("messages", schema=None) as batch_op:
        batch_op.drop_column("moved_why")
        batch_op.drop_column("about_relay_id")
    with op.batch_alter_table("attempts", schema=None) as batch_op:
        batch_op.drop_column("evidence")
