"""Keys, for people to page through."""

from typing import Any

from sqlalchemy import ColumnElement

from app.store.records import Columns, Records
from app.store.tables_managed import keys


def _is_revoked(columns: Columns, wanted: Any) -> ColumnElement[bool]:  # noqa: ANN401
    return columns.revoked_at.is_not(None) if wanted else columns.revoked_at.is_(None)


KEYS = Records(keys, "key", secret=frozenset({"hash"}), filters={"revoked": _is_revoked})
