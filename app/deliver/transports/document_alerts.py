"""Reads the JSON document of a message (`compose/webhook_body.py`) for transports that make requests of their own of it. Pure."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from app.domain.notice import NoticeKind

SHOWN = (
    "customer",
    "agent",
    "job",
    "activity",
    "kind",
    "severity",
    "message",
    "trouble",
    "reason",
    "url",
    "id",
    "what",
)
_PLACEHOLDER = re.compile(r"\{([a-z_]+)\}")


class BadDocument(ValueError):
    """The document is not about alerts."""


@dataclass(frozen=True, slots=True)
class DocumentAlert:
    """One alert of a document. `fields` are the texts that mappings may name; what an alert does not have is empty."""

    id: str
    what: NoticeKind
    opened_at: str  # times as in the document: RFC 3339
    closed_at: str | None
    acknowledged_at: str | None
    fields: Mapping[str, str]

    @property
    def is_over(self) -> bool:
        """Say whether the other side is to end it."""
        return self.closed_at is not None

    def fill(self, template: str) -> str:
        """Return a text with `{agent}` and the like replaced, once: a value that contains such a name stays as it is."""
        return _PLACEHOLDER.sub(lambda found: self.fields.get(found[1], found[0]), template)


def read_alerts(body: bytes, ended: Mapping[str, datetime]) -> list[DocumentAlert]:
    """Return the alerts of a document; those that `ended` since it was worded as ended. Raises BadDocument."""
    try:
        return [_alert_of(stored, ended.get(stored["id"])) for stored in json.loads(body)["data"]["alerts"]]
    except (ValueError, KeyError, TypeError, AttributeError) as cause:
        raise BadDocument("the message is about no alert") from cause


def unknown_names(template: str) -> list[str]:
    """Return the names in braces that `fill` does not know."""
    return [name for name in _PLACEHOLDER.findall(template) if name not in SHOWN]


def _alert_of(stored: Mapping[str, object], ended_at: datetime | None) -> DocumentAlert:
    closed_at = stored["closed_at"]
    alert = DocumentAlert(
        id=str(stored["id"]),
        what=NoticeKind(str(stored["what"])),
        opened_at=str(stored["opened_at"]),
        closed_at=None if closed_at is None else str(closed_at),
        acknowledged_at=None if stored["acknowledged_at"] is None else str(stored["acknowledged_at"]),
        fields={name: "" if stored[name] is None else str(stored[name]) for name in SHOWN},
    )
    return alert if ended_at is None else replace(alert, closed_at=ended_at.isoformat().replace("+00:00", "Z"))
