"""The texts that are written in a source file, to compare them with the catalogs."""

import ast
from collections.abc import Iterator
from pathlib import Path


def texts_in(path: Path) -> Iterator[str]:
    """Return each text of a file that has a space, with a word in the place of each value."""
    tree = ast.parse(path.read_text())
    left_out: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):  # a docstring
            left_out.add(id(node.value))
        of_log = (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and ast.unparse(node.func.value) == "log"
        )
        if of_log or isinstance(node, ast.Raise):
            left_out |= {id(one) for one in ast.walk(node)}
        if isinstance(node, ast.JoinedStr):
            left_out |= {id(one) for part in node.values for one in ast.walk(part)}
    for node in ast.walk(tree):
        if id(node) in left_out:
            continue
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value:
            yield node.value
        if isinstance(node, ast.JoinedStr):
            text = "".join(str(it.value) if isinstance(it, ast.Constant) else "success" for it in node.values)
            if " " in text:
                yield text
