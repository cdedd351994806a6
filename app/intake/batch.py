"""What waits to be committed: the events of one request, and parts of them."""

import asyncio
from dataclasses import dataclass, field
from typing import NamedTuple

from app.core.errors import TocsinError
from app.domain.budget import Budget
from app.domain.enrolment import EnrolmentRefusal
from app.intake.budgets import SenderKey
from app.intake.enrol import AskedAgent
from app.store.intake import NewEvent


@dataclass(slots=True)
class Batch:
    """The events of one request. `unknown`: indexes of events whose agent has no id yet, with the agent.

    The commit fills in the rest. `not_let_in`: events whose agent the key does not let in. `refused`: events of agents or jobs that are new, beyond the budget for them. `reported_by_key`: those of them
    that are no routine; they are stored as events of the key (intake/new_names.py).
    """

    events: list[NewEvent]
    unknown: dict[int, AskedAgent]
    size: int  # of the request's body, in bytes
    done: asyncio.Future[None]
    key: SenderKey | None = None  # None: without budgets
    duplicates: int = 0
    unstorable: set[int] = field(
        default_factory=set
    )  # indexes of events that the database refuses, which is a bug of ours
    not_let_in: dict[int, EnrolmentRefusal] = field(default_factory=dict)
    refused: dict[int, Budget] = field(default_factory=dict)
    reported_by_key: set[int] = field(default_factory=set)
    error: TocsinError | None = None


class BatchPart(NamedTuple):
    """Some of a batch's events, by their indexes: what one transaction takes of it."""

    batch: Batch
    indexes: range

    def is_whole(self) -> bool:
        """Return whether all events of the batch are to be stored as they are."""
        batch = self.batch
        return len(self.indexes) == len(batch.events) and not batch.refused and not batch.reported_by_key

    def left(self) -> list[int]:
        """Return the indexes of the events that are to be stored as they are."""
        batch = self.batch
        if not (batch.refused or batch.reported_by_key):
            return list(self.indexes)
        return [index for index in self.indexes if index not in batch.refused and index not in batch.reported_by_key]
