"""Collects what is noticed of a request while it is read, at any depth, by whoever doubts its success then."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar


class Notes:
    """Texts of one kind about the request that is being read."""

    def __init__(self, kind: str) -> None:
        """Collect nothing until `collecting`. `kind`: what is noticed."""
        self._texts: ContextVar[list[str] | None] = ContextVar(kind, default=None)

    @contextmanager
    def collecting(self) -> Iterator[list[str]]:
        """Collect a text for each thing that is noticed until the block ends."""
        texts: list[str] = []
        token = self._texts.set(texts)
        try:
            yield texts
        finally:
            self._texts.reset(token)

    def texts(self) -> list[str] | None:
        """Return what was collected so far, to be added to; None while nobody collects."""
        return self._texts.get()
