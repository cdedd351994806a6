"""What the store holds of one thing, as plain values by name: for showing and editing, where no stage needs a type of its own. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class Record:
    """One thing. `version` grows with each edit by an administrator; it is 0 where nothing can be edited."""

    id: str
    version: int
    fields: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which page of things is asked for. `since` and `until` speak of when we stored them; `after` is the last id seen."""

    limit: int
    after: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    filters: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Page:
    """Some things, and the id to go on after; `next` is None at the end. A page may be short, even empty, before the end."""

    items: tuple[Record, ...]
    next: str | None
