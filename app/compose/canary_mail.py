"""Words the canary mail. Nobody has to read it, but a person who finds it must understand what it is. Pure."""

from datetime import datetime

from markupsafe import escape

from app.compose.render import RenderedMail


def render(way: str, now: datetime, base_url: str, numbers: tuple[tuple[str, str], ...] = ()) -> RenderedMail:
    """Return the mail that is sent by `smtp`, `graph` or a relay such as `relay mailhost`. `numbers`: headers with the numbers of summaries."""
    text = (
        f"Tocsin at {base_url} sent this mail to itself by {way}, at {now:%Y-%m-%d %H:%M:%S} UTC. "
        "It does so once a day by each transport that sends mail, and raises an alert if such a mail does not arrive. You do not have to read or keep this mail."
    )
    return RenderedMail(
        f"Tocsin canary mail by {way}, {now:%Y-%m-%d %H:%M} UTC",
        text + "\n",
        f"<!doctype html><html><body><p>{escape(text)}</p></body></html>",
        headers=(("X-Tocsin", "canary"), *numbers),
    )
