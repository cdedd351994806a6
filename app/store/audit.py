"""The audit log: who changed what, and when. Only ever added to."""

from app.store.records import Records
from app.store.tables_managed import audit

AUDIT = Records(audit, "aud", newest_first=True)
