"""Rows that cannot be read because another version wrote them: they can be repaired by sending what cannot be read, or deleted."""

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


async def damage(api: Api, noun: str, table: Table, column: str, value: object) -> str:
    """Create one thing that cannot be read by one column, and return its path."""
    path = await create(api, noun)
    async with api.context.database.write() as tx:
        row = table.c.id == path.rpartition("/")[2]
        await tx.connection.execute(update(table).where(row).values({column: value}))
    answer = await api.ask("GET", path)
    assert (answer.status_code, answer.json()["code"]) == (409, "unreadable")
    assert column in answer.json()["detail"]
    return path


DAMAGES = [
    ("jobs", jobs, "expectation", {"every": "night"}),
    ("recipients", recipients, "transports", [{"transport": "smtp"}]),
    ("routes", routes, "matchers", UNKNOWN_MATCHER),
    ("rules", rules, "matchers", UNKNOWN_MATCHER),
    ("mail-rules", mail_rules, "outcome", "exploded"),
    ("silences", silences, "matchers", UNKNOWN_MATCHER),
    ("summary-schedules", summary_schedules, "matchers", UNKNOWN_MATCHER),
    ("relays", relays, "customers", 5),
]
READABLE: dict[str, Any] = {
    "expectation": {"cron": "0 2 * * *", "time_zone": "UTC", "grace_s": 600},
    "transports": MAIL,
    "matchers": [{"field": "job", "test": "is", "value": "x"}],
    "outcome": "warning",
    "customers": [],
}


@pytest.mark.parametrize(("noun", "table", "column", "value"), DAMAGES)
async def test_a_row_is_repaired_by_sending_what_cannot_be_read(
    api: Api, noun: str, table: Table, column: str, value: object
) -> None:
    path = await damage(api, noun, table, column, value)
    assert (await api.ask("PATCH", path, json={})).status_code == 409
    stale = await api.ask("PATCH", path, json={column: READABLE[column]}, headers={"If-Match": '"v7"'})
    assert (stale.status_code, stale.json()["code"]) == (412, "stale_edit")

    repaired = await api.tell("PATCH", path, json={column: READABLE[column]})
    sent, shown = READABLE[column], repaired[column]
    assert (sent.items() <= shown.items()) if isinstance(sent, dict) else (shown == sent)
    assert (await api.tell("GET", path))[column] == shown
    [repair] = [entry for entry in await api.items("/v1/audit") if entry["action"] == "repair"]
    assert repair["change"][column][0] == value


async def test_a_job_whose_expectation_is_removed_by_the_repair_is_no_longer_due(api: Api) -> None:
    path = await create(api, "jobs")
    await api.tell("PATCH", path, json={"expectation": READABLE["expectation"]})
    async with api.context.database.write() as tx:
        await tx.connection.execute(update(jobs).values(expectation={"every": "night"}))
    repaired = await api.tell("PATCH", path, json={"expectation": None})
    assert (repaired["expectation"], repaired["next_due_at"]) == (None, None)


@pytest.mark.parametrize(("noun", "table", "column", "value"), DAMAGES)
async def test_a_row_that_cannot_be_read_can_be_deleted(
    api: Api, noun: str, table: Table, column: str, value: object
) -> None:
    path = await damage(api, noun, table, column, value)
    stale = await api.ask("DELETE", path, headers={"If-Match": '"v7"'})
    assert (stale.status_code, stale.json()["code"]) == (412, "stale_edit")
    assert (await api.ask("DELETE", path)).status_code == 204

    entry = (await api.items("/v1/audit", limit=1))[0]
    assert (entry["action"], entry["change"]["id"]) == ("delete", path.rpartition("/")[2])
    assert entry["change"][column] == value
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
