"""Ids of our rows: a prefix that names the noun, then the time in ms, then chance. They sort by time of making."""

import os
import time
from datetime import datetime


def new_id(noun: str) -> str:
    """Make an id such as `evt_0193a5f2c4d1` + 16 hex digits of chance (64 bits: no collision to fear within one ms)."""
    return f"{noun}_{time.time_ns() // 1_000_000:012x}{os.urandom(8).hex()}"


def first_id_at(noun: str, moment: datetime) -> str:
    """Give a bound that sorts before every id made at `moment` or later, so that a span of time is a span of ids."""
    return f"{noun}_{max(0, int(moment.timestamp() * 1000)):012x}"
