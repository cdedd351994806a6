"""A flood of sign-ins takes neither the memory nor the event loop: so many wait, and the others are answered at once."""

import asyncio

from app.core.errors import Overloaded
from app.core.passwords import Passwords
from tests.support.cpu_noise import CPU_NOISE
from tests.support.loop_hold import measuring


async def test_a_flood_of_sign_ins_is_bounded_and_ends():
    passwords = Passwords()
    stored = await passwords.hash("a long password")
    with measuring() as holds:
        found = await asyncio.gather(
            *(passwords.matches(stored, "another one") for _ in range(2000)), return_exceptions=True
        )
    assert holds.longest().seconds < 0.05 * CPU_NOISE
    assert found.count(False) == 42, "two at work, and 40 that wait"
    refused = [one for one in found if one is not False]
    assert all(isinstance(one, Overloaded) and one.status == 503 and one.retry_after for one in refused)
    assert await passwords.matches(stored, "a long password"), "afterwards everybody can sign in again"
