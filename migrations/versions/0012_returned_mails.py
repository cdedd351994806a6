"""mails that come back, the addresses that they came back from, and how far a mailbox was read."""

import sqlalchemy as sa
from alembic import op

from app.store.types import Utc

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go forward."""
    op.create_table(
        "returned_mails",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("received_at", Utc(), nullable=False),
        sa.Column("via", sa.String(length=8), nullable=False),
        sa.Column("kind", sa.String(length=1), nullable=False),
        sa.Column("about_id", sa.String(length=40), nullable=False),
        sa.Column("sender", sa.String(length=320), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("raw", sa.LargeBinary(), nullable=False),
        sa.Column("state", sa.String(length=8), nullable=False),
        sa.Column("due_at", Utc(), nullable=False),
        sa.Column("tries", sa.Integer(), server_default="0", nullable=False),
        sa.Column("result", sa.String(length=16), nullable=True),
        sa.Column("words", sa.Text(), nullable=True),
        sa.Column("read_at", Utc(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_returned_mails")),
        sa.UniqueConstraint("sha256", name=op.f("uq_returned_mails_sha256")),
    )
    op.create_index("ix_returned_mails_about", "returned_mails", ["about_id"])
    is_new = sa.text("state = 'new'")
    op.create_index("ix_returned_mails_new", "returned_mails", ["due_at"], postgresql_where=is_new, sqlite_where=is_new)
    is_bounced = sa.text("state = 'bounced'")
    op.create_index(
        "ix_messages_bounced", "messages", ["settled_at"], postgresql_where=is_bounced, sqlite_where=is_bounced
    )
    op.create_table(
        "bounced_addresses",
        sa.Column("address", sa.String(length=1000), nullable=False),
        sa.Column("in_a_row", sa.Integer(), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("words", sa.Text(), nullable=False),
        sa.Column("first_at", Utc(), nullable=False),
        sa.Column("last_at", Utc(), nullable=False),
        sa.Column("last_message_id", sa.String(length=40), nullable=False),
        sa.Column("is_permanent", sa.Boolean(), nullable=False),
        sa.Column("reported_at", Utc(), nullable=True),
        sa.PrimaryKeyConstraint("address", name=op.f("pk_bounced_addresses")),
    )
    op.create_table(
        "mailbox_positions",
        sa.Column("mailbox", sa.String(length=64), nullable=False),
        sa.Column("uid_validity", sa.BigInteger(), nullable=False),
        sa.Column("next_uid", sa.BigInteger(), nullable=False),
        sa.Column("read_at", Utc(), nullable=False),
        sa.Column("trouble", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("mailbox", name=op.f("pk_mailbox_positions")),
    )


def downgrade() -> None:
    """Go back. The code before knew no bounced message: for it, such a message had been sent."""
    op.execute("UPDATE messages SET state = 'sent' WHERE state = 'bounced'")
    op.drop_index("ix_messages_bounced", "messages")
    op.drop_table("mailbox_positions")
    op.drop_table("bounced_addresses")
    op.drop_table("returned_mails")
