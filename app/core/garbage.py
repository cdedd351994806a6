"""Keeps each round of the garbage collector short: a round that looks at everything holds the event loop, and with it every request.

What was loaded once is excluded. Of the rest, Python looks at everything when there are a quarter more objects than it saw the last time,
and after some rounds that looked only at younger ones.
"""

import contextlib
import gc
from collections.abc import Iterator

from app.core.memory import return_free_memory

_YOUNG, _MIDDLE, _FULL = gc.get_threshold()
# Python's own number of rounds (10) lets 85 000 objects gather at the least, such as those of closed connections: to free them takes up
# to 0.2 s. So does Python's own number of young objects since 3.13 (2000).
_YOUNG_AFTER_LOADING, _FULL_AFTER_LOADING = 700, 2
_NEVER = 1_000_000_000


def freeze_loaded() -> None:
    """Exclude all objects that exist now from garbage collection, and do not let many more gather. Free memory goes back to the system."""
    gc.collect()
    return_free_memory()
    gc.freeze()
    gc.collect()  # without it, a quarter as many new objects as were frozen would gather
    gc.set_threshold(_YOUNG_AFTER_LOADING, _MIDDLE, _FULL_AFTER_LOADING)


@contextlib.contextmanager
def without_full_rounds() -> Iterator[None]:
    """Look only at young objects while the block loads what stays: each round over all of it takes 0.1 s, and finds nothing.

    The block ends with `freeze_loaded`, unless it fails.
    """
    gc.set_threshold(_YOUNG, _MIDDLE, _NEVER)
    try:
        yield
    finally:
        if gc.get_threshold()[2] == _NEVER:
            gc.set_threshold(_YOUNG, _MIDDLE, _FULL)
