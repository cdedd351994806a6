"""What to change after a failed attempt: one table for doctor, health page and API, for all transports."""

from app.deliver.transports.graph_answer import GRAPH_MEND
from app.deliver.transports.smtp_refusals import MEND


def what_to_mend(code: str | None) -> str | None:
    """Return what to change, by the code of a failed attempt. It contains names of settings, and never a value."""
    return MEND.get(code or "") or GRAPH_MEND.get(code or "")
