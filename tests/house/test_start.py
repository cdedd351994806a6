"""What a start may import: each library here costs every start, and every process at rest, up to a tenth of a second and 10 MiB."""

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.support.migrated import copy_sqlite, sqlite_template

# Libraries that only some commands or settings need, and our parts that the service loads after it answers.
HEAVY = {
    "aiosmtpd", "alembic", "asyncpg", "authlib", "babel", "css_inline", "cryptography", "dkim", "dns", "flufl", "httpcore", "httpx", "icalendar", "imap_tools",
    "jinja2", "mako", "pygments", "rich", "segno", "sqlalchemy.orm", "tracemalloc", "unittest", "watchfiles",
    "app.worker", "app.http.routes", "app.http.api.admin", "app.http.tools.mounts", "app.decide.judge", "app.compose.render",
}  # fmt: skip
WEB = {"fastapi", "starlette", "uvicorn", "uvloop", "aiosmtpd", "app.intake", "app.http"}
SERVE = """
import asyncio, json, sys
from app.cli.lazy_group import load_command
load_command("serve")
from app.cli import serve
from app.core.settings import load_settings
settings = load_settings()
asyncio.run(serve._prepare(settings))
serve.create_app(settings, work=serve.run_here)
print(json.dumps(sorted(sys.modules)))
"""
KEYS = """
import json, sys
from app import cli
sys.argv = ["tocsin", "keys", "list"]
try:
    cli.main()
except SystemExit as end:
    assert not end.code, end.code
print(json.dumps(sorted(sys.modules)))
"""


WORKER = """
import json, sys
import app.worker
from app.core.secret import Secret
from app.core.settings import load_settings
from app.deliver.transports import build_transports
build_transports(load_settings(), Secret("s" * 32))
print(json.dumps(sorted(sys.modules)))
"""


RUNNING = SERVE.replace(
    "print(",
    """
import app.worker
from app.compose import render
from app.deliver.transports import build_transports
from app.core.secret import Secret
serve.create_app(settings).load()
build_transports(settings, Secret("s" * 32))
print(""",
)
# What only some settings and requests need: a service that uses none of it has none of it in memory.
SELDOM = {
    "aiosmtpd",
    "asyncpg",
    "authlib",
    "click",
    "cryptography",
    "flufl",
    "httpx",
    "icalendar",
    "imap_tools",
    "pydantic.v1.main",
    "pysnmp",
    "segno",
    "sqlalchemy.orm",
    "uvicorn.main",
    "watchfiles",
}


def imported_by(script: str, folder: Path) -> set[str]:
    """Return the modules that a script has imported at its end, on a database that needs no migration."""
    copy_sqlite(sqlite_template(), folder / "tocsin.db")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TOCSIN_")}
    ran = subprocess.run(
        [sys.executable, "-c", script],
        env=environment | {"TOCSIN_VAR_DIR": str(folder)},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=60,
    )
    return set(json.loads(ran.stdout.splitlines()[-1]))


def test_serve_answers_before_it_loads_what_it_does_not_need_yet(tmp_path: Path):
    imported = imported_by(SERVE, tmp_path)
    assert not HEAVY & imported
    assert len(imported) < 1_150  # 1 621 before this rule


def test_a_service_at_rest_has_no_library_in_memory_that_only_some_settings_and_requests_need(tmp_path: Path):
    assert not SELDOM & imported_by(RUNNING, tmp_path)


def test_a_command_on_keys_loads_no_part_of_the_web_or_of_mails(tmp_path: Path):
    imported = imported_by(KEYS, tmp_path)
    assert not (HEAVY | WEB) & imported
    assert len(imported) < 800


def test_a_worker_loads_no_transport_that_is_not_configured_and_no_command_line_of_a_library(tmp_path: Path):
    imported = imported_by(WORKER, tmp_path)
    assert not {"app.deliver.transports.graph", "rich", "pygments", "pysnmp", "apprise", "authlib", "dns"} & imported
