"""The options of a recipient's address as a JSON column holds them, by the fields of their types. Secrets stay sealed."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from app.domain.transport_options import OPTIONS, Sealed, TransportOptions

SEALED = "sealed"  # the only name in the object that stands for a secret


def options_json(options: TransportOptions) -> dict[str, Any]:
    """Return options as a column holds them."""
    return {field.name: _written(getattr(options, field.name)) for field in fields(options)}


def options_of(transport: str, stored: Mapping[str, Any] | None) -> TransportOptions | None:
    """Return the options that a column holds. What a later version added is left out: its recipient must still be notified."""
    if stored is None or transport not in OPTIONS:
        return None
    known = {field.name for field in fields(OPTIONS[transport])}
    return OPTIONS[transport](**{name: _read(value) for name, value in stored.items() if name in known})


def _written(value: object) -> object:
    if isinstance(value, Sealed):
        return {SEALED: value.ciphertext}
    if isinstance(value, Mapping):
        return {name: _written(one) for name, one in value.items()}
    return [_written(one) for one in value] if isinstance(value, tuple) else value


def _read(value: object) -> Any:  # noqa: ANN401  (the values of JSON)
    if isinstance(value, Mapping):
        if value.keys() == {SEALED}:
            return Sealed(str(value[SEALED]))
        return {name: _read(one) for name, one in value.items()}
    return tuple(_read(one) for one in value) if isinstance(value, list) else value
