"""What every part of one process shares. It is passed in, never looked up. It must not know any stage."""

from dataclasses import dataclass

from app.core.clock import Clock
from app.core.secret import Secret
from app.core.settings import Settings
from app.core.wakeups import Wakeups
from app.store.transactions import Database


@dataclass(frozen=True, slots=True)
class AppContext:
    """The settings, database, wakeups, secret and clock of one process."""

    settings: Settings
    database: Database
    wakeups: Wakeups
    secret: Secret
    clock: Clock
