"""How long a message waits after an attempt that failed. Pure: chance is handed in."""

from datetime import timedelta

_STEPS_S = (30, 60, 120, 300, 600, 1200, 1800, 3600)
_LONGEST = timedelta(hours=1)
_JITTER = 0.2  # what failed together must not come back together


def wait_after(failures: int, chance: float, retry_after: timedelta | None = None) -> timedelta:
    """Give the wait after the `failures`-th failure (from 1). `chance` is from 0 to 1; `retry_after` is the other side's wish.

    The wish is honoured up to the longest wait of an hour: a server must not be able to hold an alert for days.
    """
    step = _STEPS_S[min(max(failures, 1), len(_STEPS_S)) - 1]
    wait = timedelta(seconds=step * (1 + _JITTER * (2 * chance - 1)))
    return min(max(wait, retry_after or timedelta(0)), _LONGEST)
