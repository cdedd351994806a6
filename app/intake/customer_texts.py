"""What is known of a customer for reading its texts, cached for seconds: its mail rules, and the names of its agents and jobs."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from app.context import AppContext
from app.core.errors import TocsinError
from app.core.log import log
from app.domain.mail_rule import MailRule
from app.intake.known_names import KnownNames
from app.intake.parse import WireEvent
from app.store.customers import some_names
from app.store.mail_rules import mail_rules_for

RULES_CACHE_S = 5.0  # a rule that was changed through another process holds after this time
NAMES_CACHE_S = 120.0
CUSTOMERS_MOST = 5_000


@dataclass(slots=True)
class _Cached:
    rules: Sequence[MailRule] = ()
    rules_until: float = 0.0
    names: KnownNames | None = None
    names_until: float = 0.0


class CustomerTexts:
    """One per process. A database that does not answer never refuses a report: the last known rules and names are used."""

    def __init__(self, context: AppContext) -> None:
        self._context = context
        self._by_customer: dict[str, _Cached] = {}

    async def rules(self, customer_id: str) -> Sequence[MailRule]:
        """Return the rules that hold for a customer's texts, in the order in which they are tried."""
        cached = self._cached(customer_id)
        if time.monotonic() >= cached.rules_until:
            try:
                async with self._context.database.read() as tx:
                    cached.rules = await mail_rules_for(tx, customer_id)
            except TocsinError as cause:
                log.warning("mail rules could not be read; the last known ones are used", cause=cause.detail)
            cached.rules_until = time.monotonic() + RULES_CACHE_S
        return cached.rules

    async def names(self, customer_id: str) -> KnownNames:
        """Return the names of a customer's agents and jobs, or 5000 of each if there are more."""
        cached = self._cached(customer_id)
        if cached.names is None or time.monotonic() >= cached.names_until:
            cached.names_until = time.monotonic() + NAMES_CACHE_S  # first: others need not wait for the same query
            try:
                async with self._context.database.read() as tx:
                    cached.names = KnownNames(await some_names(tx, customer_id))
            except TocsinError as cause:
                log.warning("names of agents and jobs could not be read", cause=cause.detail)
        return cached.names or KnownNames()

    def learn(self, customer_id: str, events: Sequence[WireEvent]) -> None:
        """Add the jobs of events that are being stored: the next text may name one of them."""
        cached = self._cached(customer_id)
        if cached.names is not None:
            cached.names.add(job for event in events if (job := event.get("job")))

    def forget(self) -> None:
        """Clear the cache. Called after a mail rule was edited in this process."""
        self._by_customer.clear()

    def _cached(self, customer_id: str) -> _Cached:
        if len(self._by_customer) > CUSTOMERS_MOST:
            self._by_customer.clear()
        return self._by_customer.setdefault(customer_id, _Cached())
