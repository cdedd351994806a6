"""A faster `dataclasses.replace`, for the frozen dataclasses with slots that deciding changes several times for each event."""

from collections.abc import Callable
from dataclasses import fields
from functools import cache
from operator import attrgetter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # so that mypy checks the names and the types of the changes
    from dataclasses import replace
else:

    def replace(thing: Any, /, **changes: object) -> Any:  # noqa: ANN401  (as in the standard library)
        """Return a copy of a dataclass with some fields changed. Raises TypeError for a field that it does not have.

        It copies slot by slot, where the one of the standard library calls `__init__` with all fields: 2.8 instead of 7.0 us for a
        job, and there are seven copies an event.
        """
        cls = type(thing)
        values_of, setters, by_name = _slots_of(cls)
        copied = object.__new__(cls)
        for set_slot, value in zip(setters, values_of(thing)):  # noqa: B905  (both have one for each field; the check takes time)
            set_slot(copied, value)
        for name, value in changes.items():
            if name not in by_name:
                raise TypeError(f"{cls.__name__} has no field {name!r}")
            by_name[name](copied, value)
        return copied


__all__ = ["replace"]
_Set = Callable[[Any, Any], None]


@cache
def _slots_of(cls: type[Any]) -> tuple[Callable[[Any], tuple[Any, ...]], tuple[_Set, ...], dict[str, _Set]]:
    """Return what reads all fields of a thing at once, and what writes each. Raises TypeError if its class is more than its fields."""
    names = [field.name for field in fields(cls)]
    if hasattr(cls, "__post_init__") or cls.__dictoffset__ or len(names) < 2:  # noqa: PLR2004  (attrgetter returns no tuple of one)
        raise TypeError(f"{cls.__name__} is no dataclass with slots only: copy it with dataclasses.replace")
    by_name = {name: getattr(cls, name).__set__ for name in names}
    return attrgetter(*names), tuple(by_name.values()), by_name
