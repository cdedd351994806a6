"""Checks the layers of the code: which package may import which (import-linter's contracts), and what that tool cannot see."""

import ast
import re
import sys
from pathlib import Path

from importlinter.cli import lint_imports

from tests.support.sources import ROOT, sources

OWN_FILES = ("programs/relay/spool.py",)  # a program on another host keeps a file of its own
DATABASE_LIBRARIES = {"sqlalchemy", "alembic", "asyncpg", "aiosqlite", "sqlite3", "psycopg", "psycopg2"}


def test_the_contracts_are_kept(capsys, monkeypatch):
    monkeypatch.chdir(ROOT)
    broken = lint_imports(config_filename="pyproject.toml", no_cache=True)
    assert not broken, capsys.readouterr().out


def test_only_the_store_and_the_migrations_use_sql():
    found = [
        f"{source.name} imports {name}"
        for source in sources("app", "programs")
        for name in source.imported()
        if name.partition(".")[0] in DATABASE_LIBRARIES and not source.name.startswith(("app/store/", *OWN_FILES))
    ]
    assert not found


def test_the_protocol_needs_nothing_but_the_standard_library():
    assert not _foreign("programs/protocol", {"programs.protocol"})


def test_the_domain_needs_only_the_calendar_library():
    assert not _foreign("app/domain", {"app.domain", "app.core", "cronsim"})


# Loaded after the service answers, or where a setting asks for it (test_start.py); import-linter checks these imports too.
LOADED_LATE = ("app/main.py", "app/deliver/transports/__init__.py", "app/http/pages/provider.py")


def test_no_import_in_a_function_bypasses_the_layers():
    """An import in a function is only for a library that most commands need not load. It must not hide an import cycle."""
    found = [
        f"{source.name}:{node.lineno}"
        for source in sources("app", "programs")
        if not source.name.startswith("app/cli/") and source.name not in LOADED_LATE
        for function in source.functions()
        for node in function.body
        if isinstance(node, (ast.Import, ast.ImportFrom)) and _is_ours(node)
    ]
    assert not found


def _is_ours(node: ast.Import | ast.ImportFrom) -> bool:
    names = [node.module or "app"] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
    return any(name.partition(".")[0] in ("app", "programs") for name in names)


def test_every_folder_of_the_plan_is_a_package():
    folders = {path.name for path in Path(ROOT / "app").iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert not {name for name in folders if not (ROOT / "app" / name / "__init__.py").is_file()}


def test_the_files_named_in_the_architecture_exist():
    """A path starts at app/ or at the checkout. In a table cell the later names may leave out the folder of the first."""
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    missing = []
    for line in text.splitlines():
        folder = ""
        for name in re.findall(r"`([\w/<>.]+\.(?:py|sql|toml|yaml))`", line):
            folder = name.rpartition("/")[0] or folder
            places = (ROOT / "app" / name, ROOT / name, ROOT / "app" / folder / name)
            if "<" not in name and not any(place.is_file() for place in places):
                missing.append(name)
    assert not missing


def _foreign(folder: str, known: set[str]) -> list[str]:
    return [
        f"{source.name} imports {name}"
        for source in sources(folder)
        for name in source.imported()
        if name.partition(".")[0] not in sys.stdlib_module_names
        and not any(name == one or name.startswith(one + ".") for one in known)
    ]
