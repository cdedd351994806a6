"""Retention: for how many days what is kept. Pure."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Retention:
    """Events are kept for the one number of days, everything else that ages for the other. Version 0: those of the settings."""

    keep_events_days: int
    keep_history_days: int
    version: int = 0
