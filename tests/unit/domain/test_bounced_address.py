"""When an address counts as one that fails, when it is passed over, and which other address is taken."""

from datetime import UTC, datetime, timedelta

import pytest

from app.domain.bounced_address import BouncedAddress, after_bounce, first_usable, unreachable
from app.domain.recipient import Address, Recipient
from app.domain.returned_mail import DeliveryReport, ReturnKind

NOW = datetime(2026, 11, 26, 3, 0, tzinfo=UTC)
NO_SUCH = DeliveryReport(ReturnKind.BOUNCED, "no such user", "ann@example.org", "5.1.1", is_permanent=True)
FULL = DeliveryReport(ReturnKind.BOUNCED, "mailbox full", "ann@example.org", "5.2.2")


def after(*reports: DeliveryReport, well_before: int | None = None, same_message: bool = False) -> BouncedAddress:
    """Return the address after these bounces, an hour apart; before the one at `well_before`, a mail arrived."""
    found: BouncedAddress | None = None
    for number, report in enumerate(reports):
        message = "msg_1" if same_message else f"msg_{number}"
        at = NOW + timedelta(hours=number)
        found = after_bounce(found, "Ann@Example.org", report, message, at, was_well=number == well_before)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("reports", "options", "in_a_row", "fails"),
    [
        ([NO_SUCH], {}, 1, False),
        ([NO_SUCH, NO_SUCH], {}, 2, True),
        ([NO_SUCH, NO_SUCH], {"same_message": True}, 1, False),
        ([NO_SUCH, NO_SUCH], {"well_before": 1}, 1, False),
        ([FULL, FULL], {}, 2, False),
        ([FULL] * 4, {}, 4, False),
        ([FULL] * 5, {}, 5, True),
        ([FULL, NO_SUCH], {}, 2, True),
        ([NO_SUCH, FULL], {}, 2, False),
    ],
)
def test_how_many_bounces_make_an_address_fail(
    reports: list[DeliveryReport], options: dict[str, bool], in_a_row: int, fails: bool
):
    found = after(*reports, **options)
    assert (found.address, found.in_a_row, found.fails) == ("ann@example.org", in_a_row, fails)


def test_an_address_that_fails_is_passed_over_for_a_day_and_then_tried_again():
    failing = after(NO_SUCH, NO_SUCH)
    last = NOW + timedelta(hours=1)
    assert failing.is_passed_over(last + timedelta(hours=23))
    assert not failing.is_passed_over(last + timedelta(hours=25))
    assert not after(NO_SUCH).is_passed_over(last)


@pytest.mark.parametrize(
    ("sent_after_h", "hours_later", "is_well"), [(None, 99, False), (1, 20, False), (1, 26, True), (-1, 99, False)]
)
def test_an_address_is_well_if_a_mail_stayed_away_for_a_day(sent_after_h: int | None, hours_later: int, is_well: bool):
    sent_at = None if sent_after_h is None else NOW + timedelta(hours=sent_after_h)
    assert after(NO_SUCH).is_well(sent_at, NOW + timedelta(hours=hours_later)) is is_well


A, B, HOOK = Address("smtp", "A@x.org"), Address("mapi", "b@x.org"), Address("webhook", "https://x.org/")


@pytest.mark.parametrize(
    ("addresses", "passed_over", "without", "place"),
    [
        ([A, HOOK], [], "", 0),
        ([A, HOOK], ["a@x.org"], "", 1),
        ([A], ["a@x.org"], "", 0),
        ([A, B, HOOK], ["a@x.org"], "mapi", 2),
        ([B, A], [], "mapi", 1),
        ([B, A], ["a@x.org"], "mapi", 1),
        ([B], [], "mapi", 0),
    ],
)
def test_which_address_is_taken(addresses: list[Address], passed_over: list[str], without: str, place: int):
    assert first_usable(addresses, passed_over, without=[without]) == place


def test_only_a_recipient_without_another_way_is_unreachable():
    ann, bob = Recipient("rcp_a", "ann", None, (A,)), Recipient("rcp_b", "bob", None, (A, HOOK))
    failing = after_bounce(after_bounce(None, "a@x.org", NO_SUCH, "msg_1", NOW, was_well=False), "a@x.org", NO_SUCH, "msg_2", NOW, was_well=False)  # fmt: skip
    assert unreachable([ann, bob], [failing]) == {"rcp_a"}
    assert (
        unreachable([ann, bob], [after_bounce(None, "a@x.org", NO_SUCH, "msg_1", NOW, was_well=False)]) == frozenset()
    )
