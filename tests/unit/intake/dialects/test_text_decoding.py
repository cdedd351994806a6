"""Character sets: declared or not, and what is for terminals."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.intake.dialects.text_decoding import decode_encoded_words, decode_text
from app.intake.sanitize import strip_escapes


@pytest.mark.parametrize(
    ("charset", "text"),
    [
        ("iso-2022-jp", "バックアップに失敗しました"),
        ("ISO-2022-JP", "バックアップ OK、エラーなし"),
        ("iso-2022-kr", "백업 실패"),
        ("euc-jp", "バックアップに失敗しました"),
        ("EUC-JP", "ディスクがいっぱいです"),
        ("shift_jis", "バックアップに失敗しました"),
        ("euc-kr", "백업에 실패했습니다"),
        ("ks_c_5601-1987", "백업에 실패했습니다"),
        ("gb18030", "备份失败, 磁盘已满"),
        ("GBK", "备份失败, 磁盘已满"),
        ("gb2312", "备份失败"),
        ("big5", "備份失敗"),
        ("koi8-r", "Ошибка: диск переполнен"),
        ("iso-8859-2", "Záloha selhala, chyba čtení"),
        ("utf-16le", "バックアップ失敗"),
    ],
)
def test_a_declared_character_set_is_used(charset: str, text: str):
    data = text.encode(charset)
    assert decode_text(data, f"text/plain; charset={charset}") == text
    assert decode_text(data, f'text/plain; charset="{charset}"; format=flowed') == text


def test_a_name_that_python_does_not_know_is_known():
    text = "バックアップに失敗しました"
    for name in ("windows-31j", "x-sjis", "Shift_JIS"):
        assert decode_text(text.encode("cp932"), f"text/plain; charset={name}") == text


def test_a_seven_bit_set_is_known_by_its_escapes_where_nothing_is_declared():
    text = "バックアップに失敗しました\nジョブ: 写真"
    assert decode_text(text.encode("iso-2022-jp")) == text


def test_a_header_may_be_in_any_of_them():
    assert decode_encoded_words("=?ISO-2022-JP?B?GyRCJVAlQyUvJSIlQyVXPDpHVBsoQg==?=") == "バックアップ失敗"
    assert decode_encoded_words("=?euc-kr?B?uenu8CC9x8bQ?=").endswith("실패")
    assert decode_encoded_words("=?gb18030?B?sbi33cqnsNw=?=") == "备份失败"


def test_lines_of_an_old_program_are_read_next_to_those_in_utf_8():
    data = "Größe: 3 GB\n".encode() + "Übertragung läuft\n".encode("latin-1") + b"file caf\xe9 of M\xc3\xbcller\n"
    assert decode_text(data) == "Größe: 3 GB\nÜbertragung läuft\nfile caf\ufffd of Müller\n"


def test_a_text_in_latin_1_may_end_with_such_a_letter():
    assert decode_text("Backup im Caf\u00e9".encode("latin-1")) == "Backup im Café"
    assert decode_text("Müller".encode()[:2] + "Größe".encode()[:3]).startswith("M")


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("\x1b[1;31mFAILED\x1b[0m", "FAILED"),
        ("\x1b]0;my title\x07done", "done"),
        ("\x1b]8;;https://x\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1b(Bok\x1b)0", "ok"),
        ("\x1b[?25lx\x1b[2K\x1b[1Gy", "xy"),
        ("\x9b31mred", "red"),
        ("end\x1b", "end"),
        ("a\x1b$By", "ay"),
        ("no escape", "no escape"),
    ],
)
def test_what_is_for_terminals_is_taken_out(text: str, kept: str):
    assert strip_escapes(text) == kept


@given(st.text(st.sampled_from("\x1b\x9b[]()$;0123ABmJK\x07\\x \n"), max_size=60))
def test_no_escape_stays_in_any_text(text: str):
    assert "\x1b" not in strip_escapes(text)


@given(
    st.binary(max_size=200),
    st.sampled_from(["", "iso-2022-jp", "euc-jp", "gb18030", "utf-16", "shift_jis", "nonsense"]),
)
def test_any_bytes_become_text_without_escapes(data: bytes, charset: str):
    assert "\x1b" not in decode_text(data, f"text/plain; charset={charset}")
