"""A transport whose library is loaded with the first message: it is large, or belongs to an extra that may not be installed."""

from collections.abc import Callable

from app.deliver.transport import ProgramTransport
from app.domain.attempt import Outcome, Temporary
from app.domain.message import Parcel


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
            return Temporary("extra", f"its library is missing: pip install '{self._extra}'", is_hopeless_here=True)
        return await transport.send(parcel)

    def preview(self, parcel: Parcel) -> str:
        """Return what would be sent."""
        return self._get().preview(parcel)

    async def close(self) -> None:
        """Close it if it was built."""
        if self._built is not None:
            await self._built.close()

    def _get(self) -> ProgramTransport:
        if self._built is None:
            self._built = self._build()
        return self._built
