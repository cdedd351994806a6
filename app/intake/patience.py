"""Waits for something, but not for ever; what need not wait at all costs no timer, and most bodies are there when they are asked for."""

import asyncio
import types
from collections.abc import Callable, Coroutine, Generator
from functools import partial
from typing import Any, TypeVar

T = TypeVar("T")


async def within(seconds: float, work: Coroutine[Any, Any, T]) -> T:
    """Give what `work` gives. Raises TimeoutError when it has waited for so long; `work` is cancelled then."""
    try:
        waits_for = work.send(None)
    except StopIteration as done:
        found: T = done.value
        return found
    async with asyncio.timeout(seconds):
        return await _rest(work, waits_for)


@types.coroutine
def _rest(work: Coroutine[Any, Any, T], waits_for: Any) -> Generator[Any, Any, T]:  # noqa: ANN401  (the loop's own business)
    """Go on with what has begun, handing on to it whatever the loop sends or throws."""
    step: Callable[[], Any]
    while True:
        try:
            sent = yield waits_for
        except BaseException as thrown:  # noqa: BLE001  (handed on, not caught)
            step = partial(work.throw, thrown)
        else:
            step = partial(work.send, sent)
        try:
            waits_for = step()
        except StopIteration as done:
            found: T = done.value
            return found
