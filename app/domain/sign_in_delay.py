"""How long somebody who failed to sign in waits until the next try. Pure.

Failures are counted for an address and a name together, for a browser that has signed in as that name before, and for an address
alone. Nobody's account is locked: who fails elsewhere under a name delays only their own address. A browser that has signed in
before is not delayed by others at its address, who may share a proxy with it.
"""

from datetime import datetime, timedelta

FREE = 5  # tries of one name from one address, or in one browser
FREE_OF_ADDRESS = 100  # of any names; an office has many people
LONGEST = timedelta(minutes=15)
FORGOTTEN_AFTER = timedelta(hours=24)


def wait_until(failures: int, last_at: datetime, free: int = FREE) -> datetime:
    """Return when the next try is allowed: at once for the first ones, then after 2, 4, 8 ... seconds, at most a quarter of an hour."""
    if failures < free:
        return last_at
    return last_at + min(timedelta(seconds=2 ** min(failures - free + 1, 20)), LONGEST)
