"""The command line: `tocsin <command>`, one small file for each command. An expected error is one line, and exit code 2."""

import sys

import typer

from app.cli import demo, doctor, keys, migrate, openapi, send_test, serve, worker
from app.cli.open_context import describe
from app.core.errors import TocsinError

cli = typer.Typer(
    name="tocsin",
    help="Receives events from backup agents, decides alerts and notifies the right people, once and in time.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
cli.command("serve")(serve.serve)
cli.command("worker")(worker.worker)
cli.command("migrate")(migrate.migrate)
cli.add_typer(keys.cli, name="keys")
cli.command("send-test")(send_test.send_test)
cli.command("demo")(demo.demo)
cli.command("doctor")(doctor.doctor)
cli.command("openapi")(openapi.openapi)


def main() -> None:
    """Run the command in the arguments."""
    try:
        cli()
    except TocsinError as error:
        typer.echo(f"tocsin: {describe(error)}", err=True)
        sys.exit(2)
