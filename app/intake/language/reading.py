"""What was read in a text, with its evidence."""

from dataclasses import dataclass
from enum import StrEnum


class Meaning(StrEnum):
    """What a text says of a run. The values are those of RunOutcome where it has the same."""

    SUCCESS = "success"
    WARNING = "warning"
    FAILURE = "failure"
    CANCELLED = "cancelled"
    STARTED = "started"
    UNCLEAR = "unclear"


@dataclass(frozen=True, slots=True)
class Reading:
    """What a text means, the words of it that decided (at most 200 characters), and a stable name of the rule."""

    meaning: Meaning
    words: str
    rule: str
