"""Imports and loads what the start of the service does not wait for, in a thread of its own, while requests are answered already."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
# One thread: two imports at once take as long as one after the other, and what is asked for first is ready first.
_THREAD = ThreadPoolExecutor(1, "loading")


async def load_in_turn(load: Callable[[], T]) -> T:
    """Return the result of `load`, after all that was asked for before."""
    return await asyncio.get_running_loop().run_in_executor(_THREAD, load)
