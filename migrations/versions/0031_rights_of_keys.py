"""rights of keys: role and customers, expiry, rotation, and from where a key was last used."""

import sqlalchemy as sa
from alembic import op

from app.store.types import Json, Utc

revision = "0031"
down_revision = "0030"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns."""
    op.add_column("keys", sa.Column("role", sa.String(14)))
    op.add_column("keys", sa.Column("customers", Json))
    op.add_column("keys", sa.Column("expires_at", Utc()))
    op.add_column("keys", sa.Column("previous_hash", sa.String(64)))
    op.add_column("keys", sa.Column("previous_until", Utc()))
    op.add_column("keys", sa.Column("last_used_from", sa.String(64)))
    op.create_index(op.f("ix_keys_previous_hash"), "keys", ["previous_hash"])


def downgrade() -> None:
    """Go back."""
    op.drop_index(op.f("ix_keys_previous_hash"), "keys")
    for name in ("last_used_from", "previous_until", "previous_hash", "expires_at", "customers", "role"):
        op.drop_column("keys", name)
