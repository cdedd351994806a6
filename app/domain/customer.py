"""A customer: whose backups these are. Pure."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Customer:
    """Whose backups these are. `time_zone`, an IANA name, says where their days begin."""

    id: str
    name: str
    time_zone: str
    created_at: datetime
    version: int = 1
