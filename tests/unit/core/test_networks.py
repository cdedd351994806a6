"""Addresses and networks: what a setting may name, and which addresses count as one sender."""

import pytest

from app.core.errors import BadSettings
from app.core.networks import is_in, read_networks, sender_of
from app.core.settings import load_settings


@pytest.mark.parametrize(
    ("address", "sender"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::1", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::1", "2001:db8:1:3::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("/run/a.sock", "/run/a.sock"),
    ],
)
def test_addresses_that_one_host_can_have_are_one_sender(address: str, sender: str):
    assert sender_of(address) == sender


@pytest.mark.parametrize(
    ("address", "networks", "wanted"),
    [
        ("10.1.2.3", "192.0.2.1, 10.0.0.0/8", True),
        ("::ffff:10.1.2.3", "10.0.0.0/8", True),
        ("2001:db8::1", "10.0.0.0/8 2001:db8::/32", True),
        ("192.0.2.2", "192.0.2.1,10.0.0.0/8", False),
        ("192.0.2.2", "", False),
        ("nonsense", "0.0.0.0/0", False),
    ],
)
def test_an_address_is_found_in_networks(address: str, networks: str, *, wanted: bool):
    assert is_in(address, read_networks(networks)) is wanted


@pytest.mark.parametrize("text", ["proxy.example.org", "10.0.0.1/8", "10.0.0.0/33", "fe80::1%eth0/64"])
def test_a_setting_that_names_no_network_is_refused_with_its_name(text: str):
    with pytest.raises(BadSettings, match="TOCSIN_TRUSTED_PROXIES"):
        load_settings(trusted_proxies=f"127.0.0.1, {text}")
