"""Checks two rules of the store: rows and connections never leave it, and one place commits."""

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
# What commits: WriteTx, and the migrations, which Alembic runs in transactions of its own.
COMMITS = {
    "app/store/transactions.py",
    "migrations/env.py",
    "app/store/pooler.py",  # it reads in transactions of the driver, to see in which session they run
}


def _public(module: object) -> Iterator[tuple[str, object]]:
    """Yield the module's own public functions, and the public methods of its classes that are not types of SQLAlchemy."""
    name = typing.cast("typing.Any", module).__name__
    for member_name, member in inspect.getmembers(module):
        if member_name.startswith("_") or getattr(member, "__module__", None) != name:
            continue
        if inspect.isfunction(member):
            yield member_name, member
        elif inspect.isclass(member) and not any(base.__module__.startswith("sqlalchemy") for base in member.__mro__):
            for method, function in inspect.getmembers(member, inspect.isfunction):
                if not method.startswith("_"):
                    yield f"{member_name}.{method}", function


def _named_in(annotation: object) -> Iterator[object]:
    yield annotation
    for part in typing.get_args(annotation):
        yield from _named_in(part)


@pytest.mark.parametrize("module_name", MODULES)
def test_rows_never_leave_the_store(module_name: str):
    module = importlib.import_module(module_name)
    leaks = [
        f"{name} returns {annotation!r}"
        for name, function in _public(module)
        for annotation in _named_in(typing.get_type_hints(function).get("return"))
        if str(getattr(annotation, "__module__", "")).startswith(ROWS)
    ]
    assert not leaks


def test_every_public_function_of_the_store_has_a_return_type():
    found = [
        f"{source.name}: {function.name}"
        for source in sources("app/store")
        for function in source.functions()
        if not function.name.startswith("_") and function.returns is None
    ]
    assert not found


def test_only_the_store_uses_a_connection():
    """Code that holds a connection can run SQL and commit. Other packages pass `tx` on and never open it."""
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
