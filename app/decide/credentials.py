"""The events that the clock writes about the credentials of OAuth2: one that ends within 30 days fails as a backup does."""

import asyncio

from app.context import AppContext
from app.core.errors import BadSettings
from app.core.log import log
from app.core.oauth_settings import OAuthSettings, credential_end
from app.domain.credential import JOB, Credential, credential_event
from app.domain.service_event import AGENT
from app.store.events import insert_clock_events
from app.store.first_start import first_customer
from app.store.intake import find_or_create_agents
from app.store.jobs import JobFilters, find_job


async def tick(context: AppContext) -> bool:
    """Write an event at each stage before the end, and one when it is over. Without trouble so far, nothing is written."""
    now = context.clock()
    try:
        credential = await asyncio.to_thread(_read, context.settings.oauth)
    except BadSettings as cause:
        log.warning("it is not known when what we log in with ends", cause=cause.detail)
        return False
    async with context.database.read() as tx:
        customer_id = await first_customer(tx)
        if customer_id is None:
            return False
        had_trouble = await find_job(tx, JobFilters(customer_id=customer_id, name=JOB)) is not None
    if not had_trouble and (credential is None or credential.stage(now) is None):
        return False
    async with context.database.write() as tx:
        agent = (customer_id, AGENT)
        agent_id = (await find_or_create_agents(tx, {agent}, now))[agent]
        await insert_clock_events(tx, [credential_event(credential, customer_id, agent_id, now)])
        tx.after_commit(lambda: context.wakeups.wake("events"))
    return False


def _read(given: OAuthSettings) -> Credential | None:
    found = credential_end(given)
    return None if found is None else Credential(*found)
