"""The audit log in the database. Entries are only ever added."""

from app.domain.audit_entry import AuditEntry
from app.store.repository import Page, Repository, Window, equals
from app.store.tables_managed import audit
from app.store.transactions import ReadTx

AUDIT = Repository(audit, AuditEntry, noun="entry", prefix="aud", newest_first=True)


async def page_audit(
    tx: ReadTx,
    window: Window,
    *,
    who: str | None = None,
    who_id: str | None = None,
    action: str | None = None,
    noun: str | None = None,
    thing_id: str | None = None,
) -> Page[AuditEntry]:
    """Return entries, newest first, filtered."""
    return await AUDIT.page(
        tx, equals(audit, who=who, who_id=who_id, action=action, noun=noun, thing_id=thing_id), window
    )
