"""Bounds what the system's memory allocator keeps for this process."""

import ctypes

_ARENA_MAX = -8  # M_ARENA_MAX of glibc's malloc.h


def use_one_arena() -> None:
    """Let all threads allocate from one heap. Call it before threads are started.

    By default each thread, such as that of a database connection, gets a heap of its own, and what is free in one is of no use to the others.
    Threads seldom compete for it, because Python runs one at a time. Does nothing with another C library than glibc.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_ARENA_MAX, 1)
