"""Every regular expression of the service takes time that grows with the length of a text, not with its square: a sender chooses the texts.

Each pattern gets texts that repeat what it is made of, and end with what matches nothing. It is asked as the code asks it: a pattern
that only `match` and `fullmatch` of is used does not search. The times are of CPU, in this thread only.
"""

import dataclasses
import importlib
import pkgutil
import random
import re
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from re import _constants as ops
from re import _parser as parser
from typing import Any

import pytest

import app

SHORT = 2_000  # characters
TIMES = 4  # as many characters may take four times as long, or a bit more; the square takes 16 times as long
GROWTH = 9
TOO_LONG_S = 0.02  # shorter times are not compared
_DEPTH = 4


def patterns() -> dict[str, re.Pattern[Any]]:
    """Return the patterns that modules hold in constants, tables and frozen values, by where they are."""
    for module in pkgutil.walk_packages(app.__path__, "app."):
        if not module.name.startswith("app.cli"):
            importlib.import_module(module.name)
    found: dict[re.Pattern[Any], str] = {}
    for name, module in list(sys.modules.items()):
        if name.startswith("app."):
            for constant, value in vars(module).items():
                for pattern in _within(value, 0):
                    found.setdefault(pattern, f"{name}.{constant}")
    return {f"{where} {pattern.pattern!r:.60}": pattern for pattern, where in found.items()}


def _within(value: object, depth: int) -> Iterator[re.Pattern[Any]]:
    if isinstance(value, re.Pattern):
        yield value
    elif depth < _DEPTH:
        if isinstance(value, dict):
            parts: list[object] = [*value.keys(), *value.values()]
        elif isinstance(value, tuple | list | set | frozenset):
            parts = list(value)
        elif dataclasses.is_dataclass(value) and not isinstance(value, type):
            parts = [getattr(value, one.name, None) for one in dataclasses.fields(value)]
        else:
            parts = []
        for part in parts:
            yield from _within(part, depth + 1)


_OF_CATEGORY = {
    ops.CATEGORY_DIGIT: "1",
    ops.CATEGORY_SPACE: " ",
    ops.CATEGORY_WORD: "a",
    ops.CATEGORY_NOT_SPACE: "a",
    ops.CATEGORY_NOT_DIGIT: "a",
    ops.CATEGORY_NOT_WORD: " ",
}


def _of_class(items: list[Any]) -> list[str]:
    found: list[str] = []
    for op, value in items:
        match op:
            case ops.LITERAL:
                found.append(chr(value))
            case ops.RANGE:
                found += [chr(value[0]), chr(value[1])]
            case ops.CATEGORY:
                found.append(_OF_CATEGORY[value])
    if (ops.NEGATE, None) in items:
        return [char for char in 'a1 -\n.<"' if char not in found][:3] or ["é"]
    return found[:3]


def _text_for(tree: Any, chance: random.Random) -> str:  # noqa: C901  (one case an operation)
    """Return a text that about matches."""
    text = ""
    for op, value in tree:
        match op:
            case ops.LITERAL:
                text += chr(value)
            case ops.NOT_LITERAL:
                text += "b" if value == ord("a") else "a"
            case ops.ANY:
                text += "a"
            case ops.IN:
                text += chance.choice(_of_class(value))
            case ops.BRANCH:
                text += _text_for(chance.choice(value[1]), chance)
            case ops.SUBPATTERN:
                text += _text_for(value[3], chance)
            case ops.ATOMIC_GROUP:
                text += _text_for(value, chance)
            case ops.MAX_REPEAT | ops.MIN_REPEAT | ops.POSSESSIVE_REPEAT:
                most = 9 if value[1] is ops.MAXREPEAT else value[1]
                for _ in range(min(max(value[0], chance.choice([0, 1, 1, 2])), most, 40)):
                    text += _text_for(value[2], chance)
    return text


def units(pattern: re.Pattern[Any]) -> list[str]:
    """Return texts to repeat: about what matches, parts of it, and single characters of it."""
    chance = random.Random(1)
    source = pattern.pattern if isinstance(pattern.pattern, str) else pattern.pattern.decode("latin-1")
    tree = parser.parse(source, pattern.flags & ~re.UNICODE)
    found: dict[str, None] = dict.fromkeys([" ", "\n", "a", "1", "a ", "<", "\n "])
    for _ in range(8):
        text = _text_for(tree, chance)[:400]
        cuts = [len(text) // 3, len(text) // 2, len(text) - 1]
        found |= dict.fromkeys([text, *(text[:cut] for cut in cuts), *(text[cut:] for cut in cuts if cut > 0)])
        found |= dict.fromkeys(chance.sample(text, min(2, len(text))))
    return [unit for unit in found if unit]


def searches(where: str) -> bool:
    """Return whether the code looks for a pattern anywhere in a text. `where`: module and constant."""
    module, _, constant = where.partition(" ")[0].rpartition(".")
    uses = re.findall(rf"\b{constant}\.(\w+)\(", Path(sys.modules[module].__file__ or "").read_text())
    return not uses or bool(set(uses) - {"match", "fullmatch"})


def seconds(pattern: re.Pattern[Any], unit: str, length: int, *, search: bool = True) -> float:
    """Return the CPU time that the pattern takes for the unit, repeated up to a length."""
    text = (unit * (length // len(unit) + 1))[:length] + "\0"
    asked = text if isinstance(pattern.pattern, str) else text.encode("latin-1", "replace")
    began = time.thread_time()
    if search:
        for _ in pattern.finditer(asked):
            pass
    pattern.match(asked)
    pattern.fullmatch(asked)
    return time.thread_time() - began


@pytest.mark.slow
def test_no_pattern_takes_the_square_of_its_text():
    slow = {}
    for where, pattern in patterns().items():
        measure = partial(seconds, pattern, search=searches(where))
        for unit in units(pattern):
            if measure(unit, SHORT) > TOO_LONG_S / TIMES**2 and measure(unit, SHORT * TIMES) > TOO_LONG_S:
                taken = min(measure(unit, SHORT * TIMES) for _ in range(3))  # a busy machine must not fail it
                first = max(min(measure(unit, SHORT) for _ in range(3)), 1e-6)
                if taken > TOO_LONG_S and taken / first > GROWTH:
                    slow[where] = f"{taken * 1000:.0f} ms for {SHORT * TIMES} characters of {unit!r:.40}"
                    break
    assert not slow, "\n".join(f"{where}: {why}" for where, why in slow.items())


def test_the_measure_finds_a_slow_pattern():
    slow = re.compile(r"(?:a*b)*c|\s+$")
    assert any(seconds(slow, unit, SHORT * 2) > seconds(slow, unit, SHORT) * 2.5 for unit in (" ", "a"))
