"""Decides whether a silence keeps an alert from being told. Pure."""

from collections.abc import Mapping, Sequence

from app.domain.matcher import all_match
from app.domain.route import Silence


def silence_over(customer_id: str, facts: Mapping[str, str], silences: Sequence[Silence]) -> Silence | None:
    """Give the silence that ends last among those that match, or None. `silences` are the ones in force now."""
    muting = [s for s in silences if s.customer_id in (None, customer_id) and all_match(s.matchers, facts)]
    return max(muting, key=lambda s: s.ends_at, default=None)


def why_muted(silence: Silence) -> str:
    """Say it so that an admin finds the silence."""
    comment = f": {silence.comment}" if silence.comment else ""
    return f"silenced until {silence.ends_at:%Y-%m-%d %H:%M} UTC by {silence.created_by}{comment} ({silence.id})"
