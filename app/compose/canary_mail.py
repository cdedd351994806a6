"""The mail of a canary. Nobody need read it, but whoever finds it must understand what it is. Pure."""

from datetime import datetime

from markupsafe import escape

from app.compose.render import RenderedMail


def render(way: str, now: datetime, base_url: str, numbers: tuple[tuple[str, str], ...] = ()) -> RenderedMail:
    """Return the mail that goes by a way such as `smtp` or `relay mailhost`. `numbers`: headers with the numbers of summaries."""
    text = (
        f"Tocsin at {base_url} sent this mail to itself by {way}, at {now:%Y-%m-%d %H:%M:%S} UTC. "
        "It does so once a day by each way, and raises an alert if such a mail does not arrive. Nobody need read or keep it."
    )
    return RenderedMail(
        f"Tocsin canary mail by {way}, {now:%Y-%m-%d %H:%M} UTC",
        text + "\n",
        f"<!doctype html><html><body><p>{escape(text)}</p></body></html>",
        headers=(("X-Tocsin", "canary"), *numbers),
    )
