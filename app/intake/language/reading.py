"""What was read in a text, with its evidence."""

from dataclasses import dataclass
from enum import StrEnum


class Meaning(StrEnum):
    """What a text says about a run. The values are those of RunOutcome, and `started`."""

    SUCCESS = "success"
    WARNING = "warning"
    FAILURE = "failure"
    CANCELLED = "cancelled"
    STARTED = "started"
    UNCLEAR = "unclear"


@dataclass(frozen=True, slots=True)
class Reading:
    """What a text means, the words in it that decided (at most 200 characters), and a stable name of the rule."""

    meaning: Meaning
    words: str
    rule: str
