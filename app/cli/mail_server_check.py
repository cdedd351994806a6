"""What `tocsin doctor` finds out about each mail server from the server itself: whether it can be reached, its TLS, our name, and the login."""

import asyncio
from dataclasses import replace

from app.core.settings import Settings
from app.deliver.transports.remedies import remedy_of
from app.deliver.transports.smtp_connect import SmtpAccess, open_session, read_accesses
from app.domain.attempt import Temporary

LONGEST_S = 10.0  # a person waits for the answer


async def check_mail_servers(settings: Settings) -> list[str]:
    """Return what is wrong with each SMTP server, and what to mend. No mail is sent."""
    if settings.smtp_url is None:
        return []
    accesses = read_accesses(settings)
    found = await asyncio.gather(*(_check(replace(one, timeout_s=min(one.timeout_s, LONGEST_S))) for one in accesses))
    return [line for line in found if line is not None]


async def _check(access: SmtpAccess) -> str | None:
    try:
        async with asyncio.timeout(2 * LONGEST_S):
            opened = await open_session(access)
    except TimeoutError:
        opened = Temporary("connect", "no answer in time")
    if not isinstance(opened, Temporary):
        await opened.quit()
        return None
    mend = remedy_of(opened.code) or "See the log of the mail server."
    return f"The mail server {access.server.address} cannot be used now: {opened.code} {' '.join(opened.text.split())}. {mend}"
