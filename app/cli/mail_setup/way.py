"""A way to send mail that was asked for and tested, whatever the mail system is."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from app.core.settings import Settings, load_settings

Changes = Mapping[str, str | None]  # the names of settings -> new value, or None to remove it


@dataclass(frozen=True, slots=True)
class MailWay:
    """The transport and its settings (None: to be removed). `correct` has answers corrected and returns the way again.

    `files` are the texts of files that settings name, by the name of the setting. `sender` is the address that may send, if known.
    """

    transport: str
    changes: Changes
    correct: Callable[[], "MailWay"]
    sender: str | None = None
    files: Mapping[str, str] = field(default_factory=dict)


def with_changes(changes: Changes) -> Settings:
    """Return the settings as they would be with these changes. Raises BadSettings."""
    fields = Settings.model_fields
    return load_settings(**{name: fields[name].default if value is None else value for name, value in changes.items()})
