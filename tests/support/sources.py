"""Reads our own source as text and as syntax trees, for the tests that check the structure of the code. Nothing is executed."""

import ast
import gc
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True)
class Source:
    """One Python file of ours; `name` is its path from the root of the checkout."""

    name: str
    text: str
    tree: ast.Module

    @property
    def lines(self) -> int:
        """Count its lines."""
        return len(self.text.splitlines())

    def functions(self) -> Iterator[Function]:
        """Yield every function and method, also inner ones."""
        return (node for node in ast.walk(self.tree) if isinstance(node, Function))

    def imported(self) -> set[str]:
        """Return the full names of the modules that it imports, at any level."""
        names: set[str] = set()
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                names |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                names.add(node.module or "")
        return names


def sources(*folders: str) -> tuple[Source, ...]:
    """Return the Python files under these folders of the checkout."""
    return tuple(source for folder in sorted(folders) for source in _sources_in(folder))


@cache
def _sources_in(folder: str) -> tuple[Source, ...]:
    paths = sorted((ROOT / folder).rglob("*.py"))
    if not paths:
        raise RuntimeError(f"no source under {folder}: this test would check nothing")
    texts = [(str(path.relative_to(ROOT)), path.read_text(encoding="utf-8")) for path in paths]
    was_collecting = gc.isenabled()  # not while pytest collects the tests
    gc.disable()
    found = tuple(Source(name, text, ast.parse(text, name)) for name, text in texts)
    gc.freeze()  # the trees stay for the whole run: later rounds of garbage collection need not go through them
    if was_collecting:
        gc.enable()
    return found


@cache
def project_files() -> tuple[Path, ...]:
    """Return every file that belongs to the project: those in git, and new ones that git does not ignore."""
    asked = ["git", "-C", str(ROOT), "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(asked, check=True, capture_output=True, text=True).stdout.split("\0")
    found = tuple(path for name in listed if name and (path := ROOT / name).is_file())
    if not found:
        raise RuntimeError("git lists no file: this test would hold nothing")
    return found


def parts_of(name: str) -> list[str]:
    """Return the words of a name: `SummaryView` and `summary_view` have the words summary and view."""
    return [part.lower() for part in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)]
