"""How many examples a property is tried with: all of them in `make test-all`, a quarter in `make test`.

The build server draws the same examples in each run, so that a change is not blocked by what another change left in the code.
"""

import os

from hypothesis import settings

FULL, SHORT = "full", "short"
_SAME = "CI" in os.environ
settings.register_profile(FULL, max_examples=100, deadline=None, derandomize=_SAME)
settings.register_profile(SHORT, max_examples=25, deadline=None, derandomize=_SAME)


def examples(full: int) -> int:
    """Return what `max_examples` is in this run for a property that is tried with `full` examples in `make test-all`."""
    return max(1, full * settings().max_examples // 100)


def is_full() -> bool:
    """Return whether this run leaves nothing out, as `make test-all` does."""
    return settings.get_current_profile_name() == FULL
