"""Addresses are read alike on every Python version: newer ones read strictly unless asked not to."""

import pytest

from app.core.mail_address import split_address


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ann@example.org", ("", "ann@example.org")),
        ("Ann <ann@example.org>", ("Ann", "ann@example.org")),
        ('"Ann, Office" <ann@example.org>', ("Ann, Office", "ann@example.org")),
        ("root@example.org (Cron Daemon)", ("Cron Daemon", "root@example.org")),
        ("tocsin@[192.0.2.1]", ("", "tocsin@[192.0.2.1]")),
        ("Tocsin <tocsin@[IPv6:2001:db8::1]>", ("Tocsin", "tocsin@[IPv6:2001:db8::1]")),
        ("", ("", "")),
    ],
)
def test_a_mailbox_is_split_into_name_and_address(text: str, expected: tuple[str, str]):
    assert split_address(text) == expected
