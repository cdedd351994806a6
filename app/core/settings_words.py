"""Says in plain words what is wrong with one setting. It knows the rule that was broken and never the value, which may be a secret."""

from collections.abc import Iterable, Mapping
from typing import Any

_FORMS = {
    "base_url": "must begin with http:// or https://",
    "admin_email": "must be a mail address, such as ann@example.org",
}


_FIXED = {
    "too_short": "is too short: at least {min_length} characters",
    "string_too_short": "is too short: at least {min_length} characters",
    "bool_parsing": "must be true or false",
    "bool_type": "must be true or false",
    "literal_error": "must be {expected}",
    "extra_forbidden": "there is no such setting",
    "string_type": "must be text",
    "path_type": "must be text",
}
_OF_NUMBERS = ("int_", "float_", "finite_", "greater_than", "less_than")


def words_for(kind: str, context: Mapping[str, Any], said: str, name: str, rules: Iterable[object]) -> str:
    """Word one error: its kind, its context and its words as the checking library has them, and the setting's own rules."""
    if kind == "string_pattern_mismatch" and name in _FORMS:
        return _FORMS[name]
    if kind in _FIXED:
        return _FIXED[kind].format_map(context).replace("'", "")
    if kind.startswith(_OF_NUMBERS):
        whole = "whole " if kind == "int_from_float" else ""
        return f"must be a {whole}number{_bounds(rules)}"
    return said.removeprefix("Value error, ")


def _bounds(rules: Iterable[object]) -> str:
    found = {
        name: getattr(rule, name)
        for rule in rules
        for name in ("ge", "gt", "le")
        if getattr(rule, name, None) is not None
    }
    high = f"{found['le']}" if "le" in found else None
    if "ge" in found:
        return f" from {found['ge']} to {high}" if high else f", at least {found['ge']}"
    if "gt" in found:
        return f" above {found['gt']}" + (f", at most {high}" if high else "")
    return ""
