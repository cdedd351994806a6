"""A letter: what a message says, before it is addressed. Pure."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Letter:
    """One message in words: the same content as text and as HTML. `headers` come on top of those that every mail of ours has."""

    subject: str
    text: str
    html: str
    headers: tuple[tuple[str, str], ...] = ()
