"""How transports read the sealed secrets of an address."""

from collections.abc import Callable

from app.domain.attempt import Temporary
from app.domain.transport_options import Sealed

Unseal = Callable[[Sealed], str]  # raises WrongSecret, a ValueError


def wrong_secret(cause: ValueError) -> Temporary:
    """Return the outcome where a secret cannot be read: it must be entered again, and until then the next transport is used."""
    return Temporary("secret", str(cause), is_hopeless_here=True)
