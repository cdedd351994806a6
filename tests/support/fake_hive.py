"""A registry for tests, as programs.relay.registry.RegistryHive describes it."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from programs.relay.registry import Value


@dataclass
class FakeHive:
    """A registry in memory. `content`: {(view, key): {name: value}}; keys and names are found in any case."""

    content: dict[tuple[int, str], dict[str, Value]] = field(default_factory=dict)

    def read(self, key: str, name: str, view: int) -> Value | None:
        """Read from `content`."""
        found = (values for (v, k), values in self.content.items() if v == view and k.lower() == key.lower())
        return {n.lower(): value for n, value in next(found, {}).items()}.get(name.lower())

    def keys(self, key: str, view: int) -> Sequence[str]:
        """Read from `content`."""
        start = key.lower() + "\\"
        below = (k[len(start) :].split("\\")[0] for v, k in self.content if v == view and k.lower().startswith(start))
        return list(dict.fromkeys(below))

    def write(self, key: str, name: str, value: Value, view: int) -> None:
        """Write to `content`."""
        self.content.setdefault((view, key), {})[name] = value
