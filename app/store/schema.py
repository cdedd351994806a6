"""The whole schema, for migrations: imports every table so that the MetaData is complete."""

from app.store import tables, tables_managed
from app.store.types import metadata

__all__ = ["metadata", "tables", "tables_managed"]
