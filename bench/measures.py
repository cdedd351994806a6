"""Measures how the source reads: sizes, private functions used once, `Any`, duplicate class names, docstrings, mocks.

`python -m bench.measures [checkout ...]` prints one column for each checkout, so that two states can be compared.
"""

import ast
import re
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles

FOLDERS = ("app", "programs")
SHORT = 4  # lines of a function with its first one
MOCKS = re.compile(r"\b(?:unittest\.mock|MagicMock|AsyncMock|mock\.patch|Mock\()")
Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True)
class Module:
    """One parsed file; `name` is its path from the root of the checkout."""

    name: str
    text: str
    tree: ast.Module


def parse_modules(root: Path, *folders: str) -> list[Module]:
    """Parse every Python file below these folders; a folder that does not exist has none."""
    paths = sorted(path for folder in folders for path in (root / folder).rglob("*.py"))
    texts = [(str(path.relative_to(root)), path.read_text(encoding="utf-8")) for path in paths]
    return [Module(name, text, ast.parse(text)) for name, text in texts]


def measure(root: Path) -> Iterator[tuple[str, str]]:
    """Yield each measure of a checkout with its value."""
    modules = parse_modules(root, *FOLDERS)
    lengths = [len(module.text.splitlines()) for module in modules if module.text.strip()]
    yield "files / lines", f"{len(lengths)} / {sum(lengths)}"
    by_folder = Counter(_folder_of(module) for module in modules)
    lines_by_folder: Counter[str] = Counter()
    for module in modules:
        lines_by_folder[_folder_of(module)] += len(module.text.splitlines())
    for folder in sorted(by_folder):
        yield f"  {folder}", f"{by_folder[folder]} / {lines_by_folder[folder]}"
    yield "file length, median / p90 / max", _spread(lengths)
    functions = [(module, node) for module in modules for node in ast.walk(module.tree) if isinstance(node, Function)]
    yield "function length, median / p90 / max", _spread([_length_of(node) for _, node in functions])
    used_once, private = _private_functions(modules)
    once = len(used_once)
    yield (
        "private functions used once, of all functions",
        f"{100 * once / len(functions):.0f} % ({once} / {len(functions)})",
    )
    yield "private functions used once, of private ones", f"{100 * once / private:.0f} % ({once} / {private})"
    called = [node for node, is_called in used_once if is_called]
    short = sum(_length_of(node) <= SHORT for node in called)
    yield "  of these: passed as a value / short / longer", f"{once - len(called)} / {short} / {len(called) - short}"
    names = [name for module in modules for name in _names_in(module.tree)]
    yield "Any per 1 000 lines", f"{1000 * names.count('Any') / sum(lengths):.1f}"
    classes = Counter(
        node.name for module in modules for node in ast.walk(module.tree) if isinstance(node, ast.ClassDef)
    )
    yield "class names that exist more than once", str(sum(count > 1 for count in classes.values()))
    public = [node for module in modules for node in _public_in(module.tree)]
    yield (
        "public functions and classes with a docstring",
        f"{100 * sum(map(_has_docstring, public)) / len(public):.0f} %",
    )
    openings = [ast.get_docstring(node) or "" for _, node in functions]
    yield 'docstrings that begin with "Give"', str(sum(text.startswith("Give") for text in openings))
    tests = parse_modules(root, "tests")
    cases = sum(isinstance(n, Function) and n.name.startswith("test_") for t in tests for n in ast.walk(t.tree))
    yield "test functions", str(cases)
    yield "mocks per 100 tests", f"{100 * sum(len(MOCKS.findall(test.text)) for test in tests) / cases:.1f}"


def _folder_of(module: Module) -> str:
    parents = module.name.split("/")[:-1]
    return "/".join(parents[:2])


def _spread(values: list[int]) -> str:
    return f"{median(values):.0f} / {quantiles(values, n=10)[-1]:.0f} / {max(values)}"


def _length_of(function: Function) -> int:
    """Count the lines of a function without its docstring."""
    lines = (function.end_lineno or function.lineno) - function.lineno + 1
    first = function.body[0]
    if _has_docstring(function):
        lines -= (first.end_lineno or first.lineno) - first.lineno + 1
    return lines


def _has_docstring(node: Function | ast.ClassDef) -> bool:
    return ast.get_docstring(node) is not None


def _private_functions(modules: list[Module]) -> tuple[list[tuple[Function, bool]], int]:
    """Return the private functions and methods that one place of their own file names, with whether it calls them; and count all.

    The others are passed as a value, such as a row of a table or a callback: there is no call to move their body to.
    """
    total, once = 0, []
    for module in modules:
        used = Counter(_names_in(module.tree))
        calls = (node.func for node in ast.walk(module.tree) if isinstance(node, ast.Call))
        called = {ast.unparse(function).rpartition(".")[2] for function in calls}
        for node in ast.walk(module.tree):
            if isinstance(node, Function) and node.name.startswith("_") and not node.name.startswith("__"):
                total += 1
                if used[node.name] == 1:
                    once.append((node, node.name in called))
    return once, total


def _names_in(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.Attribute):
            yield node.attr


def _public_in(tree: ast.Module) -> Iterator[Function | ast.ClassDef]:
    """Yield public functions and classes of a file and the public methods of its public classes."""
    for node in tree.body:
        if isinstance(node, Function | ast.ClassDef) and not node.name.startswith("_"):
            yield node
            if isinstance(node, ast.ClassDef):
                yield from (one for one in node.body if isinstance(one, Function) and not one.name.startswith("_"))


def main() -> None:
    """Print the measures of each checkout named on the command line, or of this one."""
    roots = [Path(name) for name in sys.argv[1:]] or [Path(__file__).parents[1]]
    columns = [dict(measure(root)) for root in roots]
    labels = list(dict.fromkeys(label for column in columns for label in column))
    for label in labels:
        print(f"{label:<48}" + "".join(f"{column.get(label, '-'):>24}" for column in columns))


if __name__ == "__main__":
    main()
