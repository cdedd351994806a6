"""Ids of our rows: a prefix that names the noun, then the time in ms, then chance. They sort by time of making."""

import os
import time
from datetime import datetime


def new_id(noun: str) -> str:
    """Make an id such as `evt_0193a5f2c4d1` + 16 hex digits of chance (64 bits: no collision to fear within one ms)."""
    return f"{noun}_{time.time_ns() // 1_000_000:012x}{_chance()}"


_drawn: list[str] = []
_DRAW = 256
os.register_at_fork(after_in_child=_drawn.clear)  # else parent and child would make the same ids


def _chance() -> str:
    """Give 16 hex digits of chance. Drawn in stock: each draw lets other threads run first, which costs more than all else here."""
    while True:
        try:
            return _drawn.pop()  # one step, whichever thread asks
        except IndexError:
            chance = os.urandom(8 * _DRAW).hex()
            _drawn.extend(chance[place : place + 16] for place in range(0, len(chance), 16))


def first_id_at(noun: str, moment: datetime) -> str:
    """Give a bound that sorts before every id made at `moment` or later, so that a span of time is a span of ids."""
    return f"{noun}_{max(0, int(moment.timestamp() * 1000)):012x}"
