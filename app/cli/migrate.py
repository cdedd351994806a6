"""`tocsin migrate`: updates the database's schema."""

import asyncio

import typer

from app.core.log import set_up_log
from app.core.settings import load_settings
from app.store.engine import only_process
from app.store.migrate import upgrade


def migrate() -> None:
    """Update the database's schema. On the embedded SQLite, `tocsin serve` does it itself."""
    settings = load_settings()
    set_up_log(settings)
    with only_process(settings):
        asyncio.run(upgrade(settings))
    typer.echo("The database's schema is up to date.")
