"""A transport whose library is loaded with the first message: it is large, or belongs to an extra that may not be installed."""

from collections.abc import Callable

from app.deliver.transport import ProgramTransport
from app.domain.attempt import Outcome, Temporary
from app.domain.message import Parcel


def missing_extra(extra: str) -> Temporary:
    """Return the outcome where the library of a transport is not installed."""
    return Temporary("extra", f"its library is missing: pip install '{extra}'", is_hopeless_here=True)


class LazyTransport:
    """Builds the transport when it is first needed."""

    def __init__(self, extra: str, build: Callable[[], ProgramTransport]) -> None:
        self._extra, self._build = extra, build
        self._built: ProgramTransport | None = None

    async def send(self, parcel: Parcel) -> Outcome:
        """Send by it; where its library is missing, the next transport is used until it is installed."""
        try:
            transport = self._get()
        except ImportError:
            return missing_extra(self._extra)
        return await transport.send(parcel)

    def preview(self, parcel: Parcel) -> str:
        """Return what would be sent, or which package is missing."""
        try:
            transport = self._get()
        except ImportError:
            return missing_extra(self._extra).text
        return transport.preview(parcel)

    async def close(self) -> None:
        """Close it if it was built."""
        if self._built is not None:
            await self._built.close()

    def _get(self) -> ProgramTransport:
        if self._built is None:
            self._built = self._build()
        return self._built
