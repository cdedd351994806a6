"""A mail address whose last mail came back, and the rule when it counts as failing permanently. Pure."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from app.domain.dedupe import bounced_address_key
from app.domain.event import Event
from app.domain.recipient import Address, Recipient
from app.domain.returned_mail import DeliveryReport
from app.domain.service_event import service_event

JOB_PREFIX = "mail to "  # of the job under which the agent `Tocsin` reports an address; it has no schedule
_PERMANENT_IN_A_ROW = 2  # one may be a mistake of a server that was just changed
_ANY_IN_A_ROW = 5  # such as a full mailbox, or a policy that refuses us
PASS_OVER_FOR = timedelta(days=1)
_PROVEN_BY = timedelta(days=1)  # most bounces come within minutes; one that comes later begins again


@dataclass(frozen=True, slots=True)
class BouncedAddress:
    """`address` in lower case. `status` and `words` are of its last bounce. `reported_at`: when an event reported that it fails."""

    address: str
    in_a_row: int
    status: str
    words: str
    first_at: datetime
    last_at: datetime
    last_message_id: str
    is_permanent: bool
    reported_at: datetime | None = None

    @property
    def fails(self) -> bool:
        """Whether the address or its mailbox must be changed: one bounce is not enough for that."""
        return self.in_a_row >= (_PERMANENT_IN_A_ROW if self.is_permanent else _ANY_IN_A_ROW)

    def is_passed_over(self, now: datetime) -> bool:
        """Whether mail goes by another address of the recipient. It is tried again a day after the last bounce: it may work again."""
        return self.fails and now - self.last_at < PASS_OVER_FOR

    @property
    def has_arrived(self) -> bool:
        """Whether a server confirmed after the last bounce that a mail arrived."""
        return self.in_a_row == 0

    def is_well(self, sent_at: datetime | None, now: datetime) -> bool:
        """Say whether a mail that was sent at `sent_at`, after the last bounce, has not come back for long enough."""
        return sent_at is not None and sent_at > self.last_at and now - sent_at > _PROVEN_BY


def after_bounce(
    before: BouncedAddress | None,
    address: str,
    report: DeliveryReport,
    message_id: str,
    now: datetime,
    *,
    was_well: bool,
) -> BouncedAddress:
    """Return the address after another bounce. `was_well`: a mail to it, between the two that came back, did not.

    A second notice about the same message counts once.
    """
    seen = BouncedAddress(
        address.lower(), 1, report.status or "", report.words, now, now, message_id, report.is_permanent
    )
    if before is None:
        return seen
    if before.last_message_id == message_id:
        return replace(before, is_permanent=before.is_permanent or report.is_permanent)
    if was_well:
        return replace(seen, reported_at=before.reported_at)
    return replace(seen, in_a_row=before.in_a_row + 1, first_at=before.first_at, reported_at=before.reported_at)


def first_usable(addresses: Sequence[Address], passed_over: Collection[str], *, without: Collection[str] = ()) -> int:
    """Return the place of the first address that is not passed over and not of a transport of `without`.

    If there is none, the first that only is passed over, and else the first of all: somewhere it must go.
    """
    return min(
        range(len(addresses)),
        key=lambda place: (
            addresses[place].transport in without,
            addresses[place].address.lower() in passed_over,
            place,
        ),
    )


def job_name_of_address(address: str) -> str:
    """Return the job under which an address is reported."""
    return f"{JOB_PREFIX}{address}"[:200]


def address_event(
    one: BouncedAddress, having: Sequence[Recipient], customer_id: str, agent_id: str, now: datetime, *, is_well: bool
) -> Event:
    """Return the event that reports an address as if it were a backup: one that fails is a failure, its end a success.

    `having` are the customer's recipients with this address; none if it was removed, which ends it.
    """
    names = ", ".join(it.name for it in having)
    is_last = any(all(to.address.lower() == one.address for to in it.transports) for it in having)
    left = "This recipient has no other transport." if is_last else "Alerts go by the recipient's other transports."
    failure = (
        f"Mail to {one.address} (recipient {names}) came back {one.in_a_row} times in a row: "
        f"{one.status} {one.words}. {left} Correct the address."
    )
    well = f"Mail to {one.address} no longer comes back." if having else f"No recipient has {one.address} any more."
    key, message = bounced_address_key(customer_id, one.address, now), well if is_well else failure
    return service_event((customer_id, agent_id), key, job_name_of_address(one.address), message, now, is_well=is_well)


def unreachable(recipients: Sequence[Recipient], bounced: Sequence[BouncedAddress]) -> frozenset[str]:
    """Return the ids of recipients all of whose addresses fail: what is sent to them is not read."""
    failing = {one.address for one in bounced if one.fails}
    return frozenset(
        one.id for one in recipients if one.transports and all(to.address.lower() in failing for to in one.transports)
    )
