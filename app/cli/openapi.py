"""`tocsin openapi`: the schema of the API, as `openapi/openapi.json` publishes it."""

import json

import typer

from app.core.settings import load_settings
from app.main import create_app


def openapi() -> None:
    """Print the schema of the API."""
    typer.echo(json.dumps(create_app(load_settings()).api.openapi(), indent=1, ensure_ascii=False))
