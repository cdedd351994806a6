"""`tocsin openapi`: the schema of the API, as `openapi/openapi.json` publishes it."""

import json

import typer

from app.core.settings import load_settings


def openapi() -> None:
    """Print the schema of the API."""
    from app.main import create_app  # noqa: PLC0415  (see serve.py)

    typer.echo(json.dumps(create_app(load_settings()).api.openapi(), indent=1, ensure_ascii=False))
