"""Mails that report nothing, in the database: added by the mail listener, listed for administrators, deleted after a week."""

from dataclasses import asdict

from sqlalchemy import insert

from app.domain.ignored_mail import IgnoredMail, ListedIgnoredMail
from app.store.repository import Page, Repository, Window, equals
from app.store.tables import ignored_mails
from app.store.transactions import ReadTx, WriteTx

IGNORED_MAILS = Repository(ignored_mails, IgnoredMail, noun="ignored mail", prefix="ign", newest_first=True)
_LISTED = Repository(ignored_mails, ListedIgnoredMail, noun="ignored mail", prefix="ign", newest_first=True)


async def add_ignored_mail(tx: WriteTx, mail: IgnoredMail) -> None:
    """Keep a mail."""
    await tx.connection.execute(insert(ignored_mails).values(**asdict(mail)))


async def page_ignored_mails(tx: ReadTx, window: Window, *, customer_id: str | None = None) -> Page[ListedIgnoredMail]:
    """Return mails that were put away, newest first, without their texts."""
    return await _LISTED.page(tx, equals(ignored_mails, customer_id=customer_id), window)
