"""A pooler that shares sessions between clients is refused at the start with one sentence; PostgreSQL itself is not."""

from pathlib import Path

import pytest
from sqlalchemy import make_url

from app.cli.open_context import open_context
from app.core.errors import BadSettings
from app.core.settings import load_settings
from tests.support.transaction_pooler import transaction_pooler


async def test_a_pooler_in_transaction_mode_is_named(postgres_database_url: str, tmp_path: Path) -> None:
    url = make_url(postgres_database_url)
    async with transaction_pooler(url.port or 5432) as port:
        through = url.set(port=port).render_as_string(hide_password=False)
        settings = load_settings(var_dir=tmp_path, database_url=through, secret="s" * 32)
        with pytest.raises(BadSettings, match="PgBouncer in transaction mode"):
            async with open_context(settings):
                pass


async def test_postgresql_itself_is_used(postgres_database_url: str, tmp_path: Path) -> None:
    settings = load_settings(var_dir=tmp_path, database_url=postgres_database_url, secret="s" * 32)
    async with open_context(settings) as context:
        assert not context.settings.is_sqlite
