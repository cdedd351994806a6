"""Hides a library, or a part of it, from another one that would load it, although we have no use for that."""

import contextlib
import sys
from collections.abc import Iterator
from types import ModuleType


@contextlib.contextmanager
def hidden(name: str) -> Iterator[None]:
    """Make `import name` fail inside the block, as if it were not installed. A module that was imported before is there again after it."""
    loaded = sys.modules.get(name)
    sys.modules[name] = None  # type: ignore[assignment]  # Python's own way to say that a module is not there
    try:
        yield
    finally:
        if loaded is None:
            del sys.modules[name]
        else:
            sys.modules[name] = loaded


@contextlib.contextmanager
def emptied(*names: str) -> Iterator[None]:
    """Make `from name import anything` return an unusable object inside the block, without importing the module.

    Does nothing for a module that was imported before. After the block, the module can be imported as usual.
    """
    empty = [_EmptyModule(name) for name in names if name not in sys.modules]
    sys.modules.update({module.__name__: module for module in empty})
    try:
        yield
    finally:
        for module in empty:
            del sys.modules[module.__name__]


def hide(name: str) -> None:
    """Make `import name` fail from now on, as if it were not installed, unless it was imported before."""
    sys.modules.setdefault(name, None)  # type: ignore[arg-type]  # as in `hidden`


class _EmptyModule(ModuleType):
    def __getattr__(self, name: str) -> object:
        if name.startswith("__"):
            raise AttributeError(name)
        return f"{self.__name__}.{name} was not imported: see app/core/hidden_modules.py"
