"""Chooses the first transport of a message. An alert about a transport or relay must not depend on this transport or relay. Pure."""

from collections.abc import Collection, Iterable, Sequence

from app.domain import canary, relay
from app.domain.bounced_address import first_usable
from app.domain.mail_views import AlertView
from app.domain.message import takes_json
from app.domain.notice import NoticeKind
from app.domain.recipient import Address
from app.domain.service_event import AGENT


def ways_in_doubt(views: Iterable[AlertView]) -> frozenset[str]:
    """Return the transports that these alerts report as failing: those of lost canaries, and `mapi` for a relay in trouble."""
    return frozenset(
        way for view in views if view.what is not NoticeKind.RECOVERED and (way := _way_of(view)) is not None
    )


def relay_named(view: AlertView) -> str | None:
    """Return the name under which a relay is reported, if this alert is about one or about its lost canary."""
    job = view.job or ""
    way = job.removeprefix(canary.JOB_PREFIX) if view.agent == AGENT else view.agent if job == relay.JOB else ""
    return way if way.startswith(relay.AGENT_PREFIX) else None


def is_about_a_way(view: AlertView) -> bool:
    """Say whether an alert is about how mail leaves: a lost canary, or a relay in trouble."""
    return _way_of(view) is not None


def _way_of(view: AlertView) -> str | None:
    if relay_named(view) is not None:
        return canary.RELAYED
    job = view.job or ""
    is_canary = view.agent == AGENT and job.startswith(canary.JOB_PREFIX)
    return job.removeprefix(canary.JOB_PREFIX) if is_canary else None


def first_way(
    addresses: Sequence[Address], avoided: Collection[str], in_doubt: Collection[str], other_transports: Collection[str]
) -> tuple[int, Address]:
    """Return the address to try first, with its place: the recipient's first one whose transport is not in doubt.

    Addresses to which mail comes back (`avoided`) are passed over if there is another one. If all transports are in doubt, one of
    the `other_transports`, by which mail leaves here too, carries the mail to the same mail address. If there is none either, it is
    the recipient's first choice, which may still work. `addresses` must not be empty.
    """
    place = first_usable(addresses, avoided, without=in_doubt)
    if addresses[place].transport not in in_doubt:
        return place, addresses[place]
    mail_address = next(
        (it.address for it in addresses if not takes_json(it.transport) and it.transport != "file"), None
    )
    other = next((kind for kind in sorted(other_transports) if kind not in in_doubt and not takes_json(kind)), None)
    if mail_address is None or other is None:
        return place, addresses[place]
    return len(addresses), Address(other, mail_address)
