"""Decides whether a silence mutes an alert. Pure."""

from collections.abc import Mapping, Sequence

from app.domain.matcher import all_match
from app.domain.route import Silence


def muting_silence(customer_id: str, facts: Mapping[str, str], silences: Sequence[Silence]) -> Silence | None:
    """Return the silence that ends last of those that match, or None. `silences` are those in force now."""
    muting = [s for s in silences if s.customer_id in (None, customer_id) and all_match(s.matchers, facts)]
    return max(muting, key=lambda s: s.ends_at, default=None)


def mute_reason(silence: Silence) -> str:
    """Return the reason of a muted notice, by which an administrator finds the silence."""
    comment = f": {silence.comment}" if silence.comment else ""
    return f"silenced until {silence.ends_at:%Y-%m-%d %H:%M} UTC by {silence.created_by}{comment} ({silence.id})"
