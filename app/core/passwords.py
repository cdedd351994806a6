"""Hashes of passwords: argon2id, in threads, a few at once: somebody who tries many must not take all memory and CPU."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from app.core.errors import Overloaded

# RFC 9106 allows many choices; OWASP's second one needs 19 MiB and about 30 ms, which a small host has.
_HASHER = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
_AT_ONCE = 2
_MOST_WAITING = 40  # who comes later would wait for over a second, and what waits takes memory
SHORTEST, LONGEST = 12, 200


class Passwords:
    """Hashes and checks passwords. One for each process: it bounds how many are worked on at once, and how many wait."""

    def __init__(self) -> None:
        self._turns = asyncio.Semaphore(_AT_ONCE)
        self._waiting = 0
        self._nobody = ""

    async def hash(self, password: str) -> str:
        """Return what is stored of a password. Raises Overloaded."""
        async with self._turn():
            return await asyncio.to_thread(_HASHER.hash, password)

    async def matches(self, stored: str | None, password: str) -> bool:
        """Say whether a password is the one that was stored. Where there is none, it takes as long: an answer's time names nobody.

        Raises Overloaded.
        """
        async with self._turn():
            if not self._nobody:
                self._nobody = await asyncio.to_thread(_HASHER.hash, "nobody has this password")
            is_right = await asyncio.to_thread(_verify, stored or self._nobody, password)
        return is_right and stored is not None

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        if self._waiting >= _MOST_WAITING:
            raise Overloaded("too many people sign in at once; try again in a few seconds")
        self._waiting += 1
        try:
            await self._turns.acquire()
        finally:
            self._waiting -= 1
        try:
            yield
        finally:
            self._turns.release()


def _verify(stored: str, password: str) -> bool:
    with suppress(VerificationError, InvalidHashError):
        return _HASHER.verify(stored, password)
    return False
