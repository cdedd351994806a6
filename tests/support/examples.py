"""How many examples a property is tried with: all of them in `make test-all`, a quarter in `make test`."""

from hypothesis import settings

FULL, SHORT = "full", "short"
settings.register_profile(FULL, max_examples=100)
settings.register_profile(SHORT, max_examples=25)


def examples(full: int) -> int:
    """Return what `max_examples` is in this run for a property that is tried with `full` examples in `make test-all`."""
    return max(1, full * settings().max_examples // 100)
