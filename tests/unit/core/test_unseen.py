"""Unseen characters: taken out of names, shown in texts, and kept where they are part of the writing."""

# ruff: noqa: RUF001  (letters that look like others are what is tested)

import time
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.core.unseen import plain_name, show_unseen, without_unseen
from tests.support.examples import examples

UNSEEN = [
    *("\u200b", "\u200c", "\u200d", "\u200e", "\u200f", "\u2060", "\u2063", "\ufeff", "\u00ad", "\u034f", "\u061c"),
    *("\u202a", "\u202e", "\u2066", "\u2069", "\u180e", "\u115f", "\u3164", "\uffa0", "\ufe00", "\ufe0f", "\ufff9"),
    *("\x7f", "\x80", "\x9d", "\U000e0001", "\U000e0041", "\U000e0100", "\U0001d173", "\u17b4"),
]
AS_WRITTEN = [
    "Größe: 5 µm, naïve, Ω",
    "می\u200cخواهم پشتیبان\u200cگیری",  # Persian needs ZWNJ
    "क्\u200dष क्\u200cष",  # Hindi needs both joiners
    "👩\u200d💻 👨\u200d👩\u200d👧 ❤\ufe0f\u200d🔥 1\ufe0f\u20e3 ⚠\ufe0f 👍🏽",
    "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",  # the flag of England
    "葛\U000e0100飾区",  # a form of an ideograph
    "\u200fגיבוי נכשל\u200f",
    "line 1\nline 2\ttab\r\n",
    "備份（每日）",
]


@pytest.mark.parametrize("unseen", UNSEEN, ids=lambda sign: f"U+{ord(sign):04X}")
def test_a_name_with_an_unseen_character_is_the_name_without_it(unseen: str) -> None:
    for name in (f"ad{unseen}min", f"{unseen}admin", f"admin{unseen}", f"admin{unseen * 40}"):
        assert plain_name(name).replace(" ", "") == "admin"


@pytest.mark.parametrize("unseen", UNSEEN, ids=lambda sign: f"U+{ord(sign):04X}")
def test_a_text_shows_an_unseen_character(unseen: str) -> None:
    assert show_unseen(f"fä{unseen}led") == f"fä⟨U+{ord(unseen):04X}⟩led"
    assert without_unseen(f"fä{unseen}led") == "fäled"


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("ａｄｍｉｎ", "admin"),
        ("𝐚dmin", "admin"),
        ("ﬁle01", "file01"),
        ("sql01．local", "sql01.local"),
        ("u\u0308ber", "über"),
        ("a\u00a0b", "a b"),
        ("a\u2003 \u3000b", "a b"),
        ("a  b", "a b"),
        ("  a\r\nBcc: x\x00 ", "a Bcc: x"),
        ("a\u2028b\x85c\u2800d", "a b c d"),
        ("e\u200b\u0301", "é"),
        ("Admin", "Admin"),
        ("\ud800x", "\ufffdx"),
        ("\u200b\u2060", ""),
        ("👩\u200d💻", "👩\u200d💻"),
        ("می\u200cخواهم", "می\u200cخواهم"),
        ("د\u200cم", "دم"),  # these letters do not join: nobody sees it
        ("क्\u200dष", "क्\u200dष"),
        ("a\u200d\u0301", "á"),
        ("⚠\ufe0f x", "⚠ x"),
    ],
)
def test_a_name_has_one_form(name: str, plain: str) -> None:
    assert plain_name(name) == plain


@pytest.mark.parametrize("text", AS_WRITTEN)
def test_what_is_part_of_the_writing_stays_in_a_text(text: str) -> None:
    assert show_unseen(text) == text
    assert without_unseen(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("x\u202egpj.exe", "x⟨U+202E⟩gpj.exe"),
        ("a\u200b\u2060b", "a⟨U+200B U+2060⟩b"),
        ("Alert\u034f\u200c\u00ad\u034f\u200c\u00ad!", "Alert⟨6 unseen characters⟩!"),
        ("a\u2028b\u2029c\x85d", "a\nb\nc\nd"),
        ("1\ufe0f", "1⟨U+FE0F⟩"),
        ("🏴\U000e0068\U000e0069", "🏴⟨U+E0068 U+E0069⟩"),  # no flag
        ("می\u200c\u200cx", "می\u200c⟨U+200C⟩x"),
    ],
)
def test_a_text_shows_what_is_hidden_in_it(text: str, shown: str) -> None:
    assert show_unseen(text) == shown


@settings(max_examples=examples(300), deadline=None)
@given(st.text(max_size=60))
def test_the_form_of_a_name_is_final_and_nothing_in_it_is_unseen(text: str) -> None:
    name = plain_name(text)
    assert plain_name(name) == name
    assert "  " not in name
    assert name == name.strip()
    assert without_unseen(name) == name
    assert not [sign for sign in name if unicodedata.category(sign) in ("Cc", "Cs", "Zl", "Zp")]
    assert plain_name("\u200b".join(text)) == name


@settings(max_examples=examples(300), deadline=None)
@given(st.text(alphabet=st.one_of(st.characters(), st.sampled_from([*UNSEEN, "👩", "م", "क", "葛", "1"])), max_size=60))
def test_a_text_that_was_shown_stays_as_it_is(text: str) -> None:
    shown = show_unseen(text)
    assert show_unseen(shown) == shown
    assert without_unseen(without_unseen(text)) == without_unseen(text)


@pytest.mark.parametrize(
    "piece", ["a\u200b", "a\ufe0f", "\u200c\u0645", "⚠\ufe0f x", "می\u200cخ", "\u202e" * 7, "備份"]
)
def test_a_text_of_nothing_else_costs_milliseconds(piece: str) -> None:
    text = piece * (64 * 1024 // len(piece.encode()))
    show_unseen(text)
    began = time.process_time()
    for _ in range(5):
        shown = show_unseen(text)
    assert (time.process_time() - began) / 5 < 0.03
    assert len(shown) < 3 * len(text) + 10_000
