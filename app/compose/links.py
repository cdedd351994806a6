"""Addresses of our own things, as mails and webhooks give them. Pure."""

from urllib.parse import quote


def link_to(base_url: str, noun: str, id_: str) -> str:
    """Give the API's address of one thing, for example an `alert`. Whatever the id is, the address leads to us."""
    return f"{base_url}/v1/{noun}s/{quote(id_, safe='', errors='replace')}"
