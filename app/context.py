"""What every part of one process shares. It is passed in, never looked up. It must not know any stage."""

from dataclasses import dataclass, field

from app.core.clock import Clock
from app.core.secret import Secret
from app.core.settings import Settings
from app.core.wakeups import Wakeups
from app.store.transactions import Database
from app.store.waiting import ClaimTurns


@dataclass(frozen=True, slots=True)
class AppContext:
    """The settings, database, wakeups, secret and clock of one process, whose turn it is in deciding, and how far old rows are deleted."""

    settings: Settings
    database: Database
    wakeups: Wakeups
    secret: Secret
    clock: Clock
    claim_turns: ClaimTurns = field(default_factory=ClaimTurns)
    purge_places: dict[str, str] = field(default_factory=dict)  # the last id that was deleted, by kind of rows
