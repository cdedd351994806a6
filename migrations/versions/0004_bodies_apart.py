"""bodies apart from the messages they belong to: a message changes at each lease and settlement, its body never."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go forward."""
    op.create_table(
        "bodies",
        sa.Column("message_id", sa.String(length=40), nullable=False),
        sa.Column("mail", sa.LargeBinary(), nullable=True),
        sa.Column("webhook", sa.LargeBinary(), nullable=True),
        sa.ForeignKeyConstraint(["message_id"], ["messages.id"], name=op.f("fk_bodies_message_id")),
        sa.PrimaryKeyConstraint("message_id", name=op.f("pk_bodies")),
    )
    op.execute("INSERT INTO bodies (message_id, mail, webhook) SELECT id, mail_body, webhook_body FROM messages")
    # Not in a batch: that would make the table anew, which attempts and bodies refer to.
    op.drop_column("messages", "mail_body")
    op.drop_column("messages", "webhook_body")


def downgrade() -> None:
    """Go back."""
    op.add_column("messages", sa.Column("mail_body", sa.LargeBinary(), nullable=True))
    op.add_column("messages", sa.Column("webhook_body", sa.LargeBinary(), nullable=True))
    for column in ("mail", "webhook"):
        op.execute(
            f"UPDATE messages SET {column}_body = (SELECT {column} FROM bodies WHERE message_id = messages.id)"  # noqa: S608  (our own names)
        )
    op.drop_table("bodies")
