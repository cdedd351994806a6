"""The command line: `tocsin <command>`, one small file for each command. An expected error is one line, and exit code 2."""

import sys

import typer

from app.cli.lazy_group import LazyGroup
from app.core.errors import TocsinError

cli = typer.Typer(
    name="tocsin",
    help="Receives events from backup agents, decides alerts and notifies the right people, once and in time.",
    cls=LazyGroup,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
cli.callback()(lambda: None)  # without a callback, typer does not build a group that has no commands yet


def main() -> None:
    """Run the command in the arguments."""
    try:
        cli()
    except TocsinError as error:
        from app.cli.open_context import describe  # noqa: PLC0415  (imports the database's libraries)

        typer.echo(f"tocsin: {describe(error)}", err=True)
        sys.exit(2)
