"""Our signed addresses: they survive the way through other servers, and nobody else can make one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.errors import BadSettings
from app.core.ids import new_id
from app.core.settings_checks import check_bounce_address
from app.domain.own_address import AddressKind, is_forged, read_address, sign_address

SECRET = b"s" * 32
BASE = "bounces@example.org"
kinds = st.sampled_from(list(AddressKind))
digits = st.text("0123456789abcdef", min_size=28, max_size=28)


@given(kinds, digits, st.sampled_from([BASE, "x@y.z", "tocsin-bounces.a1@mail.example.org"]))
def test_an_address_is_read_as_it_was_signed(kind: AddressKind, digits: str, base: str):
    about = f"{kind.noun}_{digits}"
    check_bounce_address(base)
    address = sign_address(SECRET, base, kind, about)
    assert len(address.rpartition("@")[0]) <= 64
    for changed in (address, address.lower(), address.upper(), f"<{address}>", f"Tocsin <{address}>, ann@example.org"):
        assert read_address(SECRET, changed) == (kind, about)
        assert not is_forged(SECRET, changed)


@given(kinds, digits, st.data())
def test_an_address_with_a_changed_character_is_forged(kind: AddressKind, digits: str, data: st.DataObject):
    address = sign_address(SECRET, BASE, kind, f"{kind.noun}_{digits}")
    place = data.draw(st.integers(min_value=len("bounces+"), max_value=address.index("@") - 1))
    other = data.draw(st.sampled_from("abcdef234567").filter(lambda letter: letter != address[place]))
    changed = address[:place] + other + address[place + 1 :]
    assert read_address(SECRET, changed) is None


@given(st.text())
def test_no_other_text_is_one(text: str):
    assert read_address(SECRET, text) is None
    assert not is_forged(SECRET, text)


def test_the_secret_of_another_server_signs_nothing_here():
    address = sign_address(b"other", BASE, AddressKind.BOUNCE, new_id("msg"))
    assert read_address(SECRET, address) is None
    assert is_forged(SECRET, address)


def test_a_bounce_address_cannot_be_used_as_that_of_a_canary():
    address = sign_address(SECRET, BASE, AddressKind.BOUNCE, new_id("msg"))
    assert read_address(SECRET, address.replace("+b", "+c")) is None


@pytest.mark.parametrize(
    "about", ["", "msg_", "msg_1", "cny_0193a5f2c4d10123456789abcdef", "msg_0193a5f2c4d10123456789abcdeX"]
)
def test_only_an_id_of_the_kind_is_signed(about: str):
    with pytest.raises(ValueError, match="is no id"):
        sign_address(SECRET, BASE, AddressKind.BOUNCE, about)


@pytest.mark.parametrize(
    "base",
    ["", "bounces", "@example.org", "a-name-that-is-too-long@example.org", "b+c@example.org", "b c@d", "b@d\r\nX:"],
)
def test_a_base_address_that_would_not_work_is_refused(base: str):
    with pytest.raises(BadSettings, match="TOCSIN_BOUNCE_ADDRESS"):
        check_bounce_address(base)
