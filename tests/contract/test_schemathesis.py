"""The published schema, tried by schemathesis against the running server with its worker on: whatever is sent, it never fails, and answers as published."""

import json
import os
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import status_code_conformance

from tests.support.examples import examples, is_full
from tests.support.running import Running, serving
from tests.support.sources import ROOT


@schemathesis.serializer("application/x-ndjson")
def as_lines(_: object, value: Any) -> bytes:
    """One event a line; what is not text or bytes already is written as JSON."""
    if isinstance(value, bytes):
        return value
    lines = value if isinstance(value, list) else [value]
    return b"\n".join(json.dumps(line).encode() for line in lines)


schema = schemathesis.openapi.from_path(ROOT / "openapi/openapi.json")  # test_openapi.py holds it to the app
# Besides, in `make test-all`, each way to break each part of the schema: thousands of requests.
schema.config.phases.coverage.enabled = is_full()
# What a careless client sends: numbers out of range, texts of any kind, parts left out, on every operation that is published.
CHECKS = [not_a_server_error, status_code_conformance]
TRIES = int(os.environ.get("SCHEMATHESIS_TRIES", examples(8)))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A real server with an embedded database and its worker."""
    with serving(tmp_path_factory.mktemp("schemathesis")) as running:
        yield running


@schema.parametrize()
@settings(
    max_examples=TRIES, deadline=None, phases=[Phase.explicit, Phase.generate], suppress_health_check=list(HealthCheck)
)
def test_no_request_makes_the_server_fail(case: Any, server: Running) -> None:
    headers = {"Authorization": f"Bearer {server.admin_key}"}
    case.call_and_validate(base_url=server.url, headers=headers, checks=CHECKS, timeout=30)
