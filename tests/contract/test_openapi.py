"""The published schema is the app's, and says of every operation what it does and how it refuses."""

import json
from pathlib import Path
from typing import Any

import pytest

from app.core.settings import load_settings
from app.main import create_app

PUBLISHED = Path(__file__).parents[2] / "openapi" / "openapi.json"
METHODS = ("get", "post", "put", "patch", "delete")
SCHEMA = create_app(load_settings()).api.openapi()
OPERATIONS = [
    pytest.param(path, method, operation, id=f"{method} {path}")
    for path, methods in SCHEMA["paths"].items()
    for method, operation in methods.items()
    if method in METHODS
]


def test_the_published_schema_is_the_apps() -> None:
    assert json.loads(PUBLISHED.read_text(encoding="utf-8")) == SCHEMA, "run `make openapi`"


@pytest.mark.parametrize(("path", "method", "operation"), OPERATIONS)
def test_every_operation_says_what_it_does_and_how_it_refuses(
    path: str, method: str, operation: dict[str, Any]
) -> None:
    assert operation.get("summary")
    assert operation.get("tags")
    if not path.startswith("/v1/"):
        return
    assert operation["security"], "needs a key"
    refusals = {status: answer for status, answer in operation["responses"].items() if status >= "400"}
    assert {"401", "403", "422", "503"} <= refusals.keys()
    assert all(list(answer["content"]) == ["application/problem+json"] for answer in refusals.values())
    if "{thing_id}" in path:
        assert "404" in refusals


def test_every_name_of_an_operation_is_its_own() -> None:
    names = [operation.values[2]["operationId"] for operation in OPERATIONS]
    assert sorted(names) == sorted(set(names))


def test_every_reference_leads_somewhere() -> None:
    def references(part: Any) -> set[str]:
        if isinstance(part, dict):
            own = {part["$ref"]} if isinstance(part.get("$ref"), str) else set()
            return own.union(*map(references, part.values())) if part else own
        return set().union(*map(references, part)) if isinstance(part, list) else set()

    known = {f"#/components/schemas/{name}" for name in SCHEMA["components"]["schemas"]}
    assert references(SCHEMA) <= known
