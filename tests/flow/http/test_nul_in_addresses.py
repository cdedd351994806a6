"""NUL in a query or a path is refused with the name of its field, on both databases: PostgreSQL takes none in a text, and answered 500."""

from pathlib import Path
from typing import Any

from tests.support.api import serving


def texts_of(operation: dict[str, Any]) -> list[str]:
    """Return the query parameters of an operation."""
    return [one["name"] for one in operation.get("parameters", ()) if one["in"] == "query"]


async def test_every_parameter_of_every_list_is_refused_with_its_name(database_url: str, tmp_path: Path):
    async with serving(database_url, tmp_path) as api:
        asked = 0
        for path, operations in api.app.api.openapi()["paths"].items():
            for name in texts_of(operations.get("get", {})):
                answer = await api.ask("GET", f"{path.replace('{', '').replace('}', '')}?{name}=a%00b")
                assert (answer.status_code, answer.json()["field"]) == (422, name), path
                asked += 1
        assert asked > 50


async def test_a_path_with_it_is_refused(database_url: str, tmp_path: Path):
    async with serving(database_url, tmp_path) as api:
        for path, operations in api.app.api.openapi()["paths"].items():
            if "{" not in path or not path.startswith("/v1/") or path.startswith("/v1/calendar/"):
                continue
            for method in operations:
                answer = await api.ask(method.upper(), path.replace("{", "a%00").replace("}", ""), json={})
                assert (answer.status_code, answer.json()["field"]) == (422, "path"), (method, path, answer.text)


async def test_pages_and_cursors_with_it_are_no_bugs(database_url: str, tmp_path: Path):
    async with serving(database_url, tmp_path) as api:
        for path in (
            "/jobs?name=%00",
            "/alerts?state=%00",
            "/messages?q=a%00",
            "/jobs/%00",
            "/v1/events?cursor=AAAA",
            "/sign-in?next=%00",
        ):
            assert (await api.ask("GET", path)).status_code < 500, path


async def test_a_tool_that_sends_it_is_heard(database_url: str, tmp_path: Path):
    async with serving(database_url, tmp_path) as api:
        answer = await api.client.get("/in/uptime-kuma/an-enrol-key-for-tests?status=down&msg=a%00b")
        assert answer.status_code < 500
        answer = await api.client.post("/in/ntfy/an-enrol-key-for-tests?title=a%00b", content=b"Backup failed")
        assert answer.is_success
        assert len(await api.items("/v1/events")) >= 1
