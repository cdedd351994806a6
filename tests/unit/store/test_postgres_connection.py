"""What our connection to PostgreSQL does otherwise than the driver's own."""

import sys
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType

from sqlalchemy import text

from app.store import notices
from tests.support.context import open_system

AT = datetime(2026, 11, 28, 2, 0, tzinfo=UTC)
GROUPS = 500


async def test_the_driver_asks_no_abstract_class_about_each_element_of_an_array(
    postgres_database_url: str, tmp_path: Path
) -> None:
    """`store/postgres_connection.py` sets a private name of asyncpg for that: a new version may have none."""
    asked = 0

    def count(frame: FrameType, event: str, _: object) -> None:
        nonlocal asked
        asked += event == "call" and frame.f_code.co_name == "__instancecheck__"

    times = {("rte_1", f"group-{number:03d}"): AT for number in range(GROUPS)}
    async with open_system(postgres_database_url, tmp_path) as system, system.context.database.write() as tx:
        await notices.save_group_times(tx, times)
        assert await notices.group_times(tx, times) == times
        before = sys.getprofile()
        sys.setprofile(count)
        try:
            await notices.group_times(tx, times)
        finally:
            sys.setprofile(before)
    assert asked < GROUPS / 10


async def test_json_is_read_the_same_by_prepared_statements_and_by_sqlalchemy(
    postgres_database_url: str, tmp_path: Path
) -> None:
    async with open_system(postgres_database_url, tmp_path) as system, system.context.database.read() as tx:
        query = """SELECT '{"text": "\\u00e4\\"", "number": 1.5, "large": 123456789012345678901234567890, "none": null, "list": [1]}'::jsonb"""
        [[read]] = await system.context.database.fetch_alone(query)
        assert read == {"text": 'ä"', "number": 1.5, "large": 123456789012345678901234567890, "none": None, "list": [1]}
        assert await tx.connection.scalar(text(query.replace(":", "\\:"))) == read
