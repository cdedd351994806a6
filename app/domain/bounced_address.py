"""A mail address of which the last mail came back, and when it counts as one that fails for good. Pure."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from app.domain.recipient import Address
from app.domain.returned_mail import DeliveryReport

_PERMANENT_IN_A_ROW = 2  # one may be a mistake of a server that was just changed
_ANY_IN_A_ROW = 5  # a full mailbox, a policy that refuses us: it lasts
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
        """Whether somebody must change the address or its mailbox: no single bounce decides that."""
        return self.in_a_row >= (_PERMANENT_IN_A_ROW if self.is_permanent else _ANY_IN_A_ROW)

    def is_passed_over(self, now: datetime) -> bool:
        """Whether mail goes by another address of the recipient. It is tried again a day after the last bounce: it may be well."""
        return self.fails and now - self.last_at < PASS_OVER_FOR

    def is_well(self, sent_at: datetime | None, now: datetime) -> bool:
        """Say whether a mail that was sent at `sent_at`, after the last bounce, has stayed away long enough."""
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
