"""The published schema is the app's, and describes each operation so that a person and a client generator understand it."""

import json
import re
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from app import __version__
from app.core.settings import load_settings
from app.intake.fields import ACTIVITIES, OUTCOMES, PHASES, SEVERITIES
from app.intake.parse import WireEvent
from app.main import create_app

PUBLISHED = Path(__file__).parents[2] / "openapi" / "openapi.json"
METHODS = ("get", "post", "put", "patch", "delete")
VERBS = (
    "list|get|create|update|delete|post|retry|teach|acknowledge|close|confirm|dismiss|preview|send|test|pause|resume|request|revoke|rotate"
    "|download|connect|ask|set|approve|reject"
)
SCHEMA = json.loads(PUBLISHED.read_text(encoding="utf-8"))
OPERATIONS = [
    pytest.param(path, method, operation, id=f"{method} {path}")
    for path, methods in SCHEMA["paths"].items()
    for method, operation in methods.items()
    if method in METHODS
]


def test_the_published_schema_is_the_apps() -> None:
    assert create_app(load_settings()).api.openapi() == SCHEMA, "run `make openapi`"


@pytest.mark.parametrize(("path", "method", "operation"), OPERATIONS)
def test_every_operation_describes_what_it_does_and_how_it_refuses(
    path: str, method: str, operation: dict[str, Any]
) -> None:
    assert operation.get("summary")
    assert operation.get("description")
    assert operation.get("tags")
    if not path.startswith("/v1/"):
        return
    assert operation["security"], "needs a key"
    refusals = {status: answer for status, answer in operation["responses"].items() if status >= "400"}
    assert {"401", "403", "422", "503"} <= refusals.keys()
    assert all(list(answer["content"]) == ["application/problem+json"] for answer in refusals.values())
    if "_id}" in path:
        assert "404" in refusals


def test_operation_ids_are_a_verb_and_a_noun_and_unique() -> None:
    names = [operation.values[2]["operationId"] for operation in OPERATIONS]
    assert sorted(names) == sorted(set(names))
    assert not [name for name in names if not re.fullmatch(rf"(?:{VERBS})(?:_[a-z]+)+", name)]


@pytest.mark.parametrize(("path", "method", "operation"), OPERATIONS)
def test_parameters_are_described_and_named_after_their_resource(
    path: str, method: str, operation: dict[str, Any]
) -> None:
    parameters = operation.get("parameters", [])
    assert not [one["name"] for one in parameters if not (one.get("description") or one["schema"].get("description"))]
    assert not [one["name"] for one in parameters if one["in"] == "path" and one["name"] in ("id", "thing_id")]


@pytest.mark.parametrize(("path", "method", "operation"), OPERATIONS)
def test_every_request_body_has_an_example(path: str, method: str, operation: dict[str, Any]) -> None:
    for media in operation.get("requestBody", {}).get("content", {}).values():
        schema = media["schema"]
        references = [part.get("$ref", "") for part in (schema, *schema.get("anyOf", []))]
        named = [SCHEMA["components"]["schemas"].get(one.rpartition("/")[2], {}) for one in references]
        assert {"example", "examples"} & {key for part in (media, schema, *named) for key in part}


@pytest.mark.parametrize("name", SCHEMA["components"]["schemas"])
def test_every_schema_and_property_is_described_under_a_plain_name(name: str) -> None:
    schema = SCHEMA["components"]["schemas"][name]
    assert re.fullmatch(r"[A-Z][A-Za-z0-9]+", name)
    assert schema.get("description")
    undescribed = {
        field
        for field, part in schema.get("properties", {}).items()
        if not part.get("description") and "$ref" not in part
    }
    assert not undescribed


def test_the_schema_names_version_licence_contact_and_describes_its_tags() -> None:
    assert SCHEMA["info"]["version"] == version("tocsin")
    assert SCHEMA["info"]["license"]["name"] == "Apache-2.0"
    assert SCHEMA["info"]["contact"]["url"]
    described = {tag["name"] for tag in SCHEMA["tags"] if tag["description"]}
    used = {tag for operation in OPERATIONS for tag in operation.values[2]["tags"]}
    assert used == described


def test_every_reference_leads_somewhere() -> None:
    def references(part: Any) -> set[str]:
        if isinstance(part, dict):
            own = {part["$ref"]} if isinstance(part.get("$ref"), str) else set()
            return own.union(*map(references, part.values())) if part else own
        return set().union(*map(references, part)) if isinstance(part, list) else set()

    known = {f"#/components/schemas/{name}" for name in SCHEMA["components"]["schemas"]}
    assert references(SCHEMA) <= known


def test_the_description_says_what_the_api_is() -> None:
    info = SCHEMA["info"]
    assert info["version"] == __version__
    assert info["license"]["identifier"] == "Apache-2.0"
    assert info["contact"]["url"]


def test_every_tag_has_a_text() -> None:
    used = {tag for operation in OPERATIONS for tag in operation.values[2]["tags"]}
    described = {tag["name"] for tag in SCHEMA["tags"] if tag["description"]}
    assert used == described


def test_the_schema_of_an_event_is_that_of_the_model_that_validates_it() -> None:
    schemas = SCHEMA["components"]["schemas"]
    assert list(schemas["EventIn"]["properties"]) == list(WireEvent.__annotations__)
    assert all(field["description"] for field in schemas["EventIn"]["properties"].values())
    content = SCHEMA["paths"]["/v1/events"]["post"]["requestBody"]["content"]
    assert {media: body["schema"]["$ref"].rpartition("/")[2] for media, body in content.items()} == {
        "application/json": "EventsIn",
        "application/x-ndjson": "EventLines",
    }


def test_the_enumerations_of_an_event_are_those_that_intake_accepts() -> None:
    properties = SCHEMA["components"]["schemas"]["EventIn"]["properties"]
    allowed = {"activity": ACTIVITIES, "phase": PHASES, "outcome": OUTCOMES, "severity": SEVERITIES}
    assert {name: set(properties[name]["anyOf"][0]["enum"]) for name in allowed} == allowed
