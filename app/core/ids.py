"""Ids of rows: a prefix for the kind of row, the time in ms, and random digits. They sort by the time of creation."""

import os
import time
from datetime import datetime


def new_id(noun: str) -> str:
    """Return an id such as `evt_0193a5f2c4d1` + 16 random hex digits (64 bits, so that ids of one ms do not collide)."""
    return f"{noun}_{time.time_ns() // 1_000_000:012x}{_next_random()}"


_random_digits: list[str] = []
_BATCH = 256
os.register_at_fork(after_in_child=_random_digits.clear)  # otherwise parent and child would create the same ids


def _next_random() -> str:
    """Return 16 random hex digits. They are read in batches: each read releases the GIL, and waiting for it again costs most."""
    while True:
        try:
            return _random_digits.pop()  # atomic, so threads can share the list
        except IndexError:
            digits = os.urandom(8 * _BATCH).hex()
            _random_digits.extend(digits[start : start + 16] for start in range(0, len(digits), 16))


def first_id_at(noun: str, moment: datetime) -> str:
    """Return a text that sorts before every id created at `moment` or later, so that a range of times is a range of ids."""
    return f"{noun}_{max(0, int(moment.timestamp() * 1000)):012x}"
