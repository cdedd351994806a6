"""Which transport a message moves to: the recipient's first one that was not tried and can send its bytes."""

import pytest

from app.deliver.failover import next_address
from app.domain.message import Bodies
from app.domain.recipient import Address

ADDRESSES = {
    "smtp": Address("smtp", "ann@example.org"),
    "smtp 2": Address("smtp", "ann@example.com"),
    "mapi": Address("mapi", "ann@example.org"),
    "webhook": Address("webhook", "https://hooks.example.org/a"),
}
MAIL, BOTH, NONE = Bodies(mail=b"mail"), Bodies(mail=b"mail", webhook=b"{}"), Bodies()


@pytest.mark.parametrize(
    ("transports", "tried", "bodies", "chosen"),
    [
        (["smtp", "mapi"], ["smtp"], MAIL, "mapi"),
        (["smtp", "mapi"], ["smtp", "mapi"], MAIL, None),
        (["smtp", "webhook"], ["smtp"], BOTH, "webhook"),
        (["smtp", "webhook"], ["smtp"], MAIL, None),  # no body was rendered for a webhook
        (["smtp", "webhook", "mapi"], ["smtp"], MAIL, "mapi"),
        (["mapi", "smtp"], ["smtp"], MAIL, "mapi"),  # the order was edited: the first that was not tried
        (["smtp 2", "mapi"], ["smtp"], MAIL, "smtp 2"),  # the same transport with a new address
        (["smtp"], ["smtp"], MAIL, None),
        (["smtp", "mapi"], ["smtp"], NONE, None),
        ([], ["smtp"], MAIL, None),
    ],
)
def test_the_next_transport_of_a_recipient(
    transports: list[str], tried: list[str], bodies: Bodies, chosen: str | None
) -> None:
    found = next_address([ADDRESSES[name] for name in transports], {ADDRESSES[name] for name in tried}, bodies)
    assert found == (None if chosen is None else (transports.index(chosen), ADDRESSES[chosen]))
