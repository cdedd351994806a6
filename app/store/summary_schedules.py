"""Summary schedules as stored, for showing and editing."""

from app.store.records import Records
from app.store.tables_managed import summary_schedules

SUMMARY_SCHEDULES = Records(summary_schedules, "sch")
