"""A way to send mail that was asked for and tested, whatever the mail system is."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Way:
    """The transport and its settings (None: to be removed). `correct` has answers corrected and returns the way again.

    `files` are the texts of files that settings name, by the name of the setting. `sender` is the address that may send, if known.
    """

    transport: str
    changes: Mapping[str, str | None]
    correct: Callable[[], "Way"]
    sender: str | None = None
    files: Mapping[str, str] = field(default_factory=dict)
