"""Holds the store's two promises: rows and connections never leave it, and one place commits."""

import ast
import importlib
import inspect
import typing
from collections.abc import Iterator

import pytest

from tests.support.sources import Source, sources

MODULES = [source.name.removesuffix(".py").replace("/", ".") for source in sources("app/store")]
# Rows, results and connections. A condition that one file of the store builds for another is none of these.
ROWS = ("sqlalchemy.engine", "sqlalchemy.ext.asyncio", "asyncpg")
# What commits: the unit of work; and the migrations, which Alembic runs before there is any unit.
COMMITS = {"app/store/transactions.py", "migrations/env.py"}


def _public(module: object) -> Iterator[tuple[str, object]]:
    """Give the module's own public functions, and the public methods of its classes that are no types of SQLAlchemy's."""
    name = typing.cast("typing.Any", module).__name__
    for found, thing in inspect.getmembers(module):
        if found.startswith("_") or getattr(thing, "__module__", None) != name:
            continue
        if inspect.isfunction(thing):
            yield found, thing
        elif inspect.isclass(thing) and not any(base.__module__.startswith("sqlalchemy") for base in thing.__mro__):
            for method, one in inspect.getmembers(thing, inspect.isfunction):
                if not method.startswith("_"):
                    yield f"{found}.{method}", one


def _named_in(annotation: object) -> Iterator[object]:
    yield annotation
    for part in typing.get_args(annotation):
        yield from _named_in(part)


@pytest.mark.parametrize("module_name", MODULES)
def test_rows_never_leave_the_store(module_name: str):
    module = importlib.import_module(module_name)
    leaks = [
        f"{name} gives {annotation!r}"
        for name, function in _public(module)
        for annotation in _named_in(typing.get_type_hints(function).get("return"))
        if str(getattr(annotation, "__module__", "")).startswith(ROWS)
    ]
    assert not leaks


def test_every_public_function_of_the_store_says_what_it_gives():
    found = [
        f"{source.name}: {function.name}"
        for source in sources("app/store")
        for function in source.functions()
        if not function.name.startswith("_") and function.returns is None
    ]
    assert not found


def test_nobody_but_the_store_touches_a_connection():
    """Whoever holds the connection can speak SQL and commit; `unit` and `view` are handed on unopened."""
    found = [
        f"{source.name}:{node.lineno}"
        for source in sources("app")
        if not source.name.startswith("app/store/")
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Attribute)
        and node.attr == "connection"
        and isinstance(node.value, ast.Name)
        and node.value.id == "tx"
    ]
    assert not found


def test_one_place_commits():
    found = {
        f"{source.name}:{node.lineno}"
        for source in sources("app", "migrations")
        if source.name not in COMMITS
        for node in _calls(source)
        if isinstance(node.func, ast.Attribute)
        and node.func.attr in ("commit", "begin", "begin_nested", "transaction")
        and not _is_lease(source, node)
    }
    assert not found


def test_no_sql_in_text_commits_either():
    words = ("COMMIT", "ROLLBACK", "SAVEPOINT", "BEGIN TRANSACTION", "END TRANSACTION")
    found = [
        f"{source.name}:{node.lineno}"
        for source in sources("app")
        if source.name not in COMMITS
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.strip(" ;").upper() in words
    ]
    assert not found


def _calls(source: Source) -> Iterator[ast.Call]:
    return (node for node in ast.walk(source.tree) if isinstance(node, ast.Call))


def _is_lease(source: Source, call: ast.Call) -> bool:
    """`lease.begin(...)` begins an attempt, not a transaction."""
    owner = call.func.value if isinstance(call.func, ast.Attribute) else None
    return source.name.startswith(("app/deliver/", "app/http/")) and isinstance(owner, ast.Name) and owner.id == "lease"
