"""Bounds what the system's memory allocator keeps for this process. Nothing here does anything with another C library than glibc."""

import ctypes

_ARENA_MAX = -8  # M_ARENA_MAX of glibc's malloc.h


def use_one_arena() -> None:
    """Let all threads allocate from one heap. Call it before threads are started.

    By default each thread, such as that of a database connection, gets a heap of its own, and what is free in one is of no use to the others.
    Threads seldom compete for it, because Python runs one at a time.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_ARENA_MAX, 1)


def return_free_memory() -> None:
    """Return to the system what was used only while libraries were loaded, once after that. Takes some milliseconds."""
    malloc_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if malloc_trim is not None:
        malloc_trim(0)
