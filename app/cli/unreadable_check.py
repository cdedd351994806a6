"""What `tocsin doctor` says about rows that cannot be read: which this version cannot read, and how many the workers found."""

from datetime import datetime, timedelta

from app.cli.findings import DoctorFinding
from app.store.heartbeats import heartbeats_since, unreadable_of
from app.store.transactions import ReadTx
from app.store.unreadable_settings import unreadable_settings

_CODE, _ALIVE, _SHOWN = "rows", timedelta(minutes=1), 3
_MEND = (
    "run the newest version on all hosts; if all run it, change or delete these rows by the API (the log names them)."
)


async def check_unreadable(tx: ReadTx, now: datetime) -> list[DoctorFinding]:
    """Return a finding for what this command cannot read, or else for what the running workers cannot read."""
    found = await unreadable_settings(tx)
    if found:
        named = ", ".join(f"{row_id} in {table}" for table, row_id in found[:_SHOWN])
        more = ", …" if len(found) > _SHOWN else ""
        return [
            DoctorFinding(
                _CODE,
                f"{len(found)} row(s) cannot be read, because another version wrote them or they are damaged: {named}{more}. Tocsin works as if they did not exist:",
                _MEND,
            )
        ]
    if count := unreadable_of(await heartbeats_since(tx, now - _ALIVE)):
        return [
            DoctorFinding(
                _CODE,
                f"The running workers cannot read {count} row(s), because another version wrote them or they are damaged. Nothing is decided about them:",
                _MEND,
            )
        ]
    return []
