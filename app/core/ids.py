"""Ids of rows: a prefix for the kind of row, the time, and random digits. They sort by the time of creation."""

import os
import time
from datetime import datetime


def new_id(noun: str) -> str:
    """Return an id such as `evt_0193a5f2c4d1` (ms) + `0a3f7` (ns within it) + 11 random hex digits, so that ids of one ns do not collide.

    With milliseconds alone, the events of one request would have ids in any order, and be decided in it.
    """
    ms, ns = divmod(time.time_ns(), 1_000_000)
    return f"{noun}_{ms:012x}{ns:05x}{_next_random()}"


_random_digits: list[str] = []
_BATCH, _DIGITS = 256, 11
os.register_at_fork(after_in_child=_random_digits.clear)  # otherwise parent and child would create the same ids


def _next_random() -> str:
    """Return 11 random hex digits. They are read in batches: each read releases the GIL, and waiting for it again costs most."""
    while True:
        try:
            return _random_digits.pop()  # atomic, so threads can share the list
        except IndexError:
            digits = os.urandom(_DIGITS * _BATCH // 2).hex()
            _random_digits.extend(digits[start : start + _DIGITS] for start in range(0, len(digits), _DIGITS))


def first_id_at(noun: str, moment: datetime) -> str:
    """Return a text that sorts before every id created at `moment` or later, so that a range of times is a range of ids."""
    return f"{noun}_{max(0, int(moment.timestamp() * 1000)):012x}"
