"""The table of commands. The file of a command is imported when that command is called: together they take two seconds.

Scripts and cron jobs start `tocsin` often, and `tocsin --help` needs only this table.
"""

import gc
import importlib
from typing import Any, NamedTuple

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command


class CommandEntry(NamedTuple):
    """A command: its file, the function or Typer in it, and its line in the list of commands (its docstring; a test compares them)."""

    file: str
    name: str
    help: str


COMMANDS = {
    "serve": CommandEntry(
        "serve",
        "serve",
        "Start the service, with a worker; on PostgreSQL the worker is a separate process, and TOCSIN_WORKER=false leaves it out.",
    ),
    "worker": CommandEntry(
        "worker", "worker", "Run a worker alone, on PostgreSQL. It stops cleanly on SIGTERM, within ten seconds."
    ),
    "migrate": CommandEntry(
        "migrate", "migrate", "Update the database's schema. On the embedded SQLite, `tocsin serve` does it itself."
    ),
    "keys": CommandEntry("keys", "cli", "Create, list and revoke keys."),
    "people": CommandEntry(
        "people", "cli", "Add people, list them, and print a sign-in link for a person who is locked out."
    ),
    "setup": CommandEntry("setup_mail", "cli", "Set up how mail is sent; each answer is tested at once."),
    "send-test": CommandEntry(
        "send_test", "send_test", "Send one test message at once; exit code 0 only if it was sent."
    ),
    "demo": CommandEntry(
        "demo",
        "demo",
        "Show 14 days of a small fleet, with a failure, a series of warnings, a recovery and a missed run.",
    ),
    "doctor": CommandEntry("doctor", "doctor", "List what is missing or wrong; exit code 1 if anything is."),
    "openapi": CommandEntry("openapi", "openapi", "Print the schema of the API."),
}


class LazyGroup(TyperGroup):
    """A group that shows the table and imports only the command that is called."""

    def __init__(self, **options: Any) -> None:  # noqa: ANN401  (typer's own, passed on)
        super().__init__(**{**options, "commands": [TyperCommand(name, help=COMMANDS[name].help) for name in COMMANDS]})

    def resolve_command(  # type: ignore[override]  # typer's own type of a command is private
        self, ctx: typer.Context, args: list[str]
    ) -> tuple[str | None, TyperCommand | TyperGroup | None, list[str]]:
        """Return the command itself in place of its entry."""
        name, _, rest = super().resolve_command(ctx, args)
        return name, None if name is None else load_command(name), rest


def load_command(name: str) -> TyperCommand | TyperGroup:
    """Import the file of a command and return the command."""
    entry = COMMANDS[name]
    gc.disable()  # what is imported stays: to look for garbage in it takes a sixth of the time
    module = importlib.import_module(f"app.cli.{entry.file}")
    gc.freeze()
    gc.enable()
    found = getattr(module, entry.name)
    if not isinstance(found, typer.Typer):
        function, found = found, typer.Typer(add_completion=False)
        found.command(name)(function)
    command = get_command(found)
    if not isinstance(command, TyperCommand | TyperGroup):
        raise TypeError(f"{entry.file}.{entry.name} is no command")
    return command
