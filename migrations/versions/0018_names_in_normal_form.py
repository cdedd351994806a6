"""names of agents and jobs get the normal form of names, in which their next reports come."""

import sqlalchemy as sa
from alembic import op

from app.core.unseen import plain_name

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Rename what is not in normal form. Where another one has that name already, both stay, and the old one can be deleted by hand."""
    connection = op.get_bind()
    renamed = sa.text(
        "UPDATE agents SET name = :new WHERE id = :id AND NOT EXISTS"
        " (SELECT 1 FROM agents AS other WHERE other.customer_id = agents.customer_id AND other.name = :new)"
    )
    for agent_id, name in connection.execute(sa.text("SELECT id, name FROM agents")).all():
        if (new := plain_name(name)) not in ("", name):
            connection.execute(renamed, {"id": agent_id, "new": new})
    renamed = sa.text(
        "UPDATE jobs SET name = :new WHERE id = :id AND NOT EXISTS (SELECT 1 FROM jobs AS other WHERE other.name = :new"
        " AND other.customer_id = jobs.customer_id AND other.agent_id = jobs.agent_id AND other.activity = jobs.activity)"
    )
    # The list of a job's events finds them by its name.
    followed = sa.text("UPDATE events SET job = :new WHERE agent_id = :agent AND job = :old AND activity = :activity")
    for job_id, agent_id, activity, name in connection.execute(
        sa.text("SELECT id, agent_id, activity, name FROM jobs")
    ).all():
        if (new := plain_name(name)) in ("", name):
            continue
        if connection.execute(renamed, {"id": job_id, "new": new}).rowcount:
            values = {"new": new, "agent": agent_id, "old": name, "activity": activity}
            connection.execute(followed, values)


def downgrade() -> None:
    """Go back: the names stay."""
