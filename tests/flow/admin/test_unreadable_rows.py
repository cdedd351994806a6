"""Rows that cannot be read because another version wrote them: nobody can change them, but they can be deleted."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Table, update

from app.store.tables import jobs
from app.store.tables_managed import mail_rules, recipients, relays, routes, rules, silences, summary_schedules
from tests.support.api import Api, serving

UNKNOWN_MATCHER = [{"field": "job", "test": "regex", "value": "x"}]
MAIL = [{"transport": "file", "address": "ann@example.org"}]


@pytest.fixture
async def api(database_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with serving(database_url, tmp_path) as api:
        yield api


async def create(api: Api, noun: str) -> str:
    """Create one thing, and return its path."""
    customer = (await api.items("/v1/customers"))[0]["id"]
    recipient = (await api.items("/v1/recipients"))[0]["id"]
    body: dict[str, Any] = {"name": "odd"}
    match noun:
        case "jobs":
            agent = await api.tell("POST", "/v1/agents", json={"customer_id": customer, "name": "sql01"})
            body |= {"agent_id": agent["id"]}
        case "recipients":
            body |= {"transports": MAIL}
        case "routes" | "summary-schedules":
            body |= {"recipients": [recipient]}
        case "rules":
            body |= {"kind": "failed"}
        case "mail-rules":
            body |= {"subject": "*failed*", "outcome": "failure"}
        case "silences":
            matchers = [{"field": "job", "value": "x"}]
            body = {
                "matchers": matchers,
                "ends_at": f"{datetime.now(UTC).year + 1}-01-01T00:00:00Z",
                "comment": "tapes",
            }
    created = await api.tell("POST", f"/v1/{noun}", json=body)
    return f"/v1/{noun}/{created['id']}"


@pytest.mark.parametrize(
    ("noun", "table", "damage"),
    [
        ("jobs", jobs, {"expectation": {"every": "night"}}),
        ("recipients", recipients, {"transports": [{"transport": "smtp"}]}),
        ("routes", routes, {"matchers": UNKNOWN_MATCHER}),
        ("rules", rules, {"matchers": UNKNOWN_MATCHER}),
        ("mail-rules", mail_rules, {"outcome": "exploded"}),
        ("silences", silences, {"matchers": UNKNOWN_MATCHER}),
        ("summary-schedules", summary_schedules, {"matchers": UNKNOWN_MATCHER}),
        ("relays", relays, {"customers": 5}),
    ],
)
async def test_a_row_that_cannot_be_read_can_be_deleted(
    api: Api, noun: str, table: Table, damage: dict[str, Any]
) -> None:
    path = await create(api, noun)
    row_id = path.rpartition("/")[2]
    async with api.context.database.write() as tx:
        await tx.connection.execute(update(table).where(table.c.id == row_id).values(**damage))
    answer = await api.ask("GET", path)
    assert (answer.status_code, answer.json()["code"]) == (409, "unreadable")

    stale = await api.ask("DELETE", path, headers={"If-Match": '"v7"'})
    assert (stale.status_code, stale.json()["code"]) == (412, "stale_edit")
    assert (await api.ask("DELETE", path)).status_code == 204

    entry = (await api.items("/v1/audit", limit=1))[0]
    assert (entry["action"], entry["change"]["id"]) == ("delete", row_id)
    assert {name: entry["change"][name] for name in damage} == damage
    if noun == "silences":  # it ended, and stays so that what it muted is explained
        async with api.context.database.read() as tx:
            ends_at = await tx.connection.scalar(silences.select().with_only_columns(silences.c.ends_at))
        assert ends_at is not None
        assert ends_at <= datetime.now(UTC)
    else:
        assert (await api.ask("GET", path)).status_code == 404


async def test_a_page_with_next_is_never_empty(api: Api) -> None:
    for place in range(4):
        await api.tell("POST", "/v1/rules", json={"name": f"rule {place}", "kind": "failed"})
    stored = await api.items("/v1/rules", limit=100)
    unreadable = {rule["id"] for rule in stored[:-1]}
    async with api.context.database.write() as tx:
        await tx.connection.execute(update(rules).where(rules.c.id.in_(unreadable)).values(matchers=UNKNOWN_MATCHER))
    page = (await api.ask("GET", "/v1/rules", params={"limit": 1})).json()
    assert ([rule["id"] for rule in page["items"]], page["next"]) == ([stored[-1]["id"]], None)
